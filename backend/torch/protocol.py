"""OpenAI request bodies in: checked, and turned into what the engine answers.

Members that this backend does not know are ignored, as vLLM does. Members that it knows of but cannot honour
are refused unless they ask for nothing: an answer that quietly ignores a schema or a penalty would be wrong.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from backend.errors import RequestError
from backend.torch.forms import Constraint, Form
from backend.torch.generation import Request
from backend.torch.grammar import Grammar
from backend.torch.parsing import Shape, parsed
from backend.torch.sampler import SamplingParams
from backend.torch.tokenizer import Tokenizer

_MAX_CHOICES = 128
_COMPLETION_TOKENS = 16

_Positive = Annotated[int, Meta(ge=1)]
_Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Alternatives = Annotated[int, Meta(ge=0, le=20)]

# Body member -> values that ask for nothing.
_UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "allowed_token_ids": (None, []),
    "bad_words": (None, []),
    "best_of": (None, 1),
    "echo": (None, False),
    "frequency_penalty": (None, 0),
    "functions": (None, []),
    "logit_bias": (None, {}),
    "min_tokens": (None, 0),
    "presence_penalty": (None, 0),
    "prompt_logprobs": (None,),
    "repetition_penalty": (None, 1),
    "suffix": (None, ""),
    "tool_choice": (None, "none", "auto"),
    "use_beam_search": (None, False),
}


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Part(msgspec.Struct):
    type: str
    text: str | None = None


class Message(msgspec.Struct):
    """Who says what in a conversation."""

    role: str
    content: str | list[_Part] | None = None


class _Body(msgspec.Struct, kw_only=True):
    """What chat and completion bodies share; None is absent."""

    model: str | None = None
    n: Annotated[int, Meta(ge=1, le=_MAX_CHOICES)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=-1)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    seed: _Seed | None = None
    max_tokens: _Positive | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool | None = None
    return_token_ids: bool | None = None
    response_format: Form | None = None
    structured_outputs: Constraint | None = None


class _ChatBody(_Body, kw_only=True):
    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: _Positive | None = None
    logprobs: bool | None = None
    top_logprobs: _Alternatives | None = None


class _CompletionBody(_Body, kw_only=True):
    # A text, its tokens, or a list of either; one union cannot say that, so `_prompts` checks the rest.
    prompt: str | Annotated[list[str | int | list[int]], Meta(min_length=1)]
    logprobs: _Alternatives | None = None


_B = TypeVar("_B", bound=_Body)
_CHAT, _COMPLETION = Shape(_ChatBody), Shape(_CompletionBody)


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request for answers: for each prompt in turn, `n` requests that differ in their seed."""

    model: str | None
    requests: tuple[Request, ...]
    n: int
    stream: bool
    include_usage: bool
    return_token_ids: bool


def read_chat(raw: bytes, tokenizer: Tokenizer, max_len: int) -> Call:
    """Parse the body of `/v1/chat/completions`.

    Raises:
        RequestError: 400 naming the member at fault.
    """
    body = _parsed(raw, _CHAT)
    if body.top_logprobs is not None and not body.logprobs:
        raise RequestError("top_logprobs: needs logprobs to be true", param="top_logprobs")
    prompt = tokenizer.chat([{"role": m.role, "content": content(m)} for m in body.messages])
    logprobs = (body.top_logprobs or 0) if body.logprobs else None
    asked = body.max_completion_tokens or body.max_tokens
    params = _params(body, asked, max_len, logprobs)
    return _call(body, (prompt,), max_len, params, _grammar(body, tokenizer))


def read_completion(raw: bytes, tokenizer: Tokenizer, max_len: int) -> Call:
    """Parse the body of `/v1/completions`.

    Raises:
        RequestError: 400 naming the member at fault.
    """
    body = _parsed(raw, _COMPLETION)
    prompts = tuple(_prompt_tokens(prompt, tokenizer) for prompt in _prompts(body))
    params = _params(body, body.max_tokens, _COMPLETION_TOKENS, body.logprobs)
    return _call(body, prompts, max_len, params, _grammar(body, tokenizer))


def _parsed(raw: bytes, shape: Shape[_B]) -> _B:
    members, body = parsed(raw, shape)
    for name, neutral in _UNSUPPORTED.items():
        if members.get(name) not in neutral:
            raise RequestError(f"{name}: not supported by this backend", param=name)
    if body.stream_options is not None and not body.stream:
        raise RequestError("stream_options: needs stream to be true", param="stream_options")
    return body


def content(message: Message) -> str:
    """The text of a message; its text parts are joined by newlines, as vLLM does for such templates.

    Raises:
        RequestError: a part is no text.
    """
    if not isinstance(message.content, list):
        return message.content or ""
    for part in message.content:
        if part.type != "text" or part.text is None:
            raise RequestError(f"messages: content of type {part.type} is not supported", param="messages")
    return "\n".join(part.text or "" for part in message.content)


def _prompts(body: _CompletionBody) -> list[str | list[int]]:
    if isinstance(body.prompt, str):
        return [body.prompt]
    tokens = [item for item in body.prompt if isinstance(item, int)]
    if not tokens:
        return [item for item in body.prompt if not isinstance(item, int)]
    if len(tokens) < len(body.prompt):
        raise RequestError("prompt: texts and tokens cannot be mixed in one list", param="prompt")
    return [tokens]


def _prompt_tokens(prompt: str | list[int], tokenizer: Tokenizer) -> tuple[int, ...]:
    if isinstance(prompt, str):
        return tokenizer.encode(prompt)
    strange = [token for token in prompt if not 0 <= token < len(tokenizer)]
    if strange:
        raise RequestError(f"prompt: token {strange[0]} is not in the vocabulary", param="prompt")
    return tuple(prompt)


def _params(body: _Body, asked: int | None, otherwise: int, logprobs: int | None) -> SamplingParams:
    """Absent members take OpenAI's defaults; `max_tokens` is cut to what fits only if the client named none."""
    return SamplingParams(
        max_tokens=asked or otherwise,
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        top_k=max(body.top_k or 0, 0),
        min_p=body.min_p or 0.0,
        seed=None if body.seed == -1 else body.seed,
        stop=_stops(body.stop),
        stop_token_ids=tuple(body.stop_token_ids or ()),
        ignore_eos=bool(body.ignore_eos),
        logprobs=logprobs,
    )


def _stops(stop: str | list[str] | None) -> tuple[str, ...]:
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if "" in stops:
        raise RequestError("stop: an empty string would stop at once", param="stop")
    return stops


def _grammar(body: _Body, tokenizer: Tokenizer) -> Grammar | None:
    if body.response_format is not None and body.structured_outputs is not None:
        raise RequestError("response_format: not together with structured_outputs", param="response_format")
    if body.structured_outputs is not None:
        return body.structured_outputs.grammar(tokenizer.guide)
    return None if body.response_format is None else body.response_format.grammar(tokenizer.guide)


def _call(
    body: _Body,
    prompts: tuple[tuple[int, ...], ...],
    max_len: int,
    params: SamplingParams,
    grammar: Grammar | None,
) -> Call:
    n = body.n or 1
    if n > 1 and params.is_greedy:
        raise RequestError(f"n: must be 1 when using greedy sampling, got {n}", param="n")
    if n * len(prompts) > _MAX_CHOICES:
        raise RequestError(f"n: at most {_MAX_CHOICES} answers in one request", param="n")
    asked = getattr(body, "max_completion_tokens", None) or body.max_tokens or 0
    for prompt in prompts:
        _check_fits(len(prompt), asked, max_len)
    requests = tuple(Request(p, _with_seed(params, child), grammar) for p in prompts for child in range(n))
    return Call(
        model=body.model,
        requests=requests,
        n=n,
        stream=bool(body.stream),
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        return_token_ids=bool(body.return_token_ids),
    )


def _check_fits(num_tokens: int, asked: int, max_len: int) -> None:
    if not num_tokens:
        raise RequestError("prompt: must not be empty", param="prompt")
    if num_tokens + max(asked, 1) > max_len:
        raise RequestError(
            f"this model's maximum context length is {max_len} tokens, but the prompt has {num_tokens} "
            f"and {max(asked, 1)} were asked for: shorten the one or the other",
            code="context_length_exceeded",
        )


def _with_seed(params: SamplingParams, child: int) -> SamplingParams:
    """Child i of `n` gets seed + i, as in vLLM's `v1/engine/parallel_sampling.py`."""
    if params.seed is None or child == 0:
        return params
    seed = (params.seed + child + 2**63) % 2**64 - 2**63
    return replace(params, seed=seed)
