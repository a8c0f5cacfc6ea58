"""Text to tokens and back, by the checkpoint's own tokenizer and chat template."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import AutoTokenizer

from backend.errors import RequestError, UsageError, first_line
from backend.torch.grammar import Guide


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """A checkpoint's tokenizer; `ends` are the ids that end an answer, `guide` makes grammars."""

    backend: Any
    ends: frozenset[int]
    guide: Guide

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Read the tokenizer from `folder`.

        Raises:
            UsageError: it is missing or broken.
        """
        try:
            backend = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:
            # The Rust tokenizer raises bare Exception for a broken file.
            raise UsageError(
                f"--model {folder}: its tokenizer cannot be read: {first_line(error)}"
            ) from error
        # The first call may reset truncation, which must not happen while another thread decodes.
        backend.encode("warm", add_special_tokens=False)
        own = backend.eos_token_id
        ends = frozenset([] if own is None else [own])
        return cls(backend, ends, Guide(backend, ends))

    def __len__(self) -> int:
        return len(self.backend)

    def with_ends(self, ends: frozenset[int]) -> "Tokenizer":
        """The same tokenizer with the model's ends of answer, or its own where the model names none."""
        ends = ends or self.ends
        return Tokenizer(self.backend, ends, Guide(self.backend, ends))

    def encode(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """Tokens of `text`; `special` adds those that the model wants around it."""
        return tuple(self.backend.encode(text, add_special_tokens=special))

    def chat(self, messages: Sequence[dict[str, str]]) -> tuple[int, ...]:
        """Tokens of a conversation, up to where the assistant speaks.

        Raises:
            RequestError: the model has no chat template, or its template refuses the messages.
        """
        if self.backend.chat_template is None:
            raise RequestError("this model has no chat template: use /v1/completions", param="messages")
        try:
            tokens = self.backend.apply_chat_template(
                list(messages), add_generation_prompt=True, return_dict=False
            )
        except TemplateError as error:
            raise RequestError(f"messages: {error}", param="messages") from error
        return tuple(tokens)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of `tokens` without special ones; U+FFFD where bytes make no character."""
        text: str = self.backend.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def name(self, token: int) -> str:
        """One token as logprobs show it, special ones included."""
        text: str = self.backend.decode(
            [token], skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text
