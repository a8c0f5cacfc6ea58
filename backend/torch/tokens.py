"""The bodies of `/tokenize` and `/detokenize`, in vLLM's shape."""

from typing import Annotated

import msgspec
from msgspec import Meta

from backend.errors import RequestError
from backend.torch.parsing import Shape, parsed
from backend.torch.protocol import Message, content
from backend.torch.tokenizer import Tokenizer


class _Text(msgspec.Struct):
    prompt: str | None = None
    messages: Annotated[list[Message], Meta(min_length=1)] | None = None
    add_special_tokens: bool = True
    return_token_strs: bool | None = None


class _Tokens(msgspec.Struct):
    tokens: list[int]


_TEXT, _TOKENS = Shape(_Text), Shape(_Tokens)


def read_tokenize(raw: bytes, tokenizer: Tokenizer) -> tuple[tuple[int, ...], list[str] | None]:
    """Tokens of a text or a conversation, and their strings if they were asked for.

    Raises:
        RequestError: 400 naming the member at fault.
    """
    _, body = parsed(raw, _TEXT)
    if body.messages is not None:
        tokens = tokenizer.chat([{"role": one.role, "content": content(one)} for one in body.messages])
    elif body.prompt is not None:
        tokens = tokenizer.encode(body.prompt, special=body.add_special_tokens)
    else:
        raise RequestError("prompt: it or messages must be given", param="prompt")
    return tokens, [tokenizer.name(token) for token in tokens] if body.return_token_strs else None


def read_detokenize(raw: bytes, tokenizer: Tokenizer) -> str:
    """The text of tokens.

    Raises:
        RequestError: 400 naming the member at fault.
    """
    _, body = parsed(raw, _TOKENS)
    strange = [token for token in body.tokens if not 0 <= token < len(tokenizer)]
    if strange:
        raise RequestError(f"tokens: {strange[0]} is not in the vocabulary", param="tokens")
    return tokenizer.decode(body.tokens)
