"""Answers of a given form: which tokens may come next, by llguidance, a Rust library with no needs of its own."""

import json
from functools import cached_property
from typing import Any, Literal, Self

import torch
from torch import Tensor

from backend.errors import RequestError

# As json.dumps writes it. Free to choose, a weak model writes spaces until it is cut off.
_SPACES: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}

Kind = Literal["json", "regex", "choice"]


class Grammar:
    """What one answer may still become. Not shared between answers: each takes a `fresh` one."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def fresh(self) -> Self:
        """A copy that goes its own way."""
        return type(self)(self._matcher.deep_copy())

    @property
    def is_complete(self) -> bool:
        """Whether nothing can be added."""
        return bool(self._matcher.is_stopped())

    def restrict(self, logits: Tensor) -> Tensor:
        """`logits`, [vocabulary], with -inf for every token that may not come next."""
        words = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.int32)
        bits = (words[:, None] >> torch.arange(32, dtype=torch.int32) & 1).flatten().bool()[: len(logits)]
        # A model may have more logits than its tokenizer has tokens.
        allowed = torch.zeros(len(logits), dtype=torch.bool)
        allowed[: len(bits)] = bits
        return logits.masked_fill(~allowed.to(logits.device), -torch.inf)

    def accept(self, token: int) -> None:
        """Take the token that was drawn."""
        self._matcher.consume_token(token)


class Guide:
    """Makes grammars for one tokenizer, which is prepared when the first is asked for."""

    def __init__(self, tokenizer: Any, ends: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._ends = ends

    @cached_property
    def _tokens(self) -> Any:
        from llguidance.hf import from_tokenizer

        return from_tokenizer(self._tokenizer, eos_token=sorted(self._ends))

    def grammar(self, member: str, kind: Kind, form: Any) -> Grammar:
        """The grammar of a form.

        Args:
            member: of the body, for errors.
            kind: what `form` is.
            form: a JSON schema, a regular expression or a list of texts.

        Raises:
            RequestError: the form is wrong, or uses what llguidance does not know.
        """
        try:
            from llguidance import LLMatcher
        except ImportError as error:
            raise RequestError(
                f"{member}: not supported here, llguidance is not installed", param=member
            ) from error
        if kind == "json":
            if not isinstance(form, dict):
                raise RequestError(f"{member}: the schema must be an object", param=member)
            text = LLMatcher.grammar_from_json_schema(json.dumps(form), defaults=_SPACES)
        elif kind == "regex":
            text = LLMatcher.grammar_from_regex(form)
        else:
            text = LLMatcher.grammar_from_lark(
                "start: " + " | ".join(json.dumps(choice, ensure_ascii=False) for choice in form)
            )
        matcher = LLMatcher(self._tokens, text, log_level=0)
        if matcher.is_error():
            reason = " ".join(matcher.get_error().split())
            raise RequestError(f"{member}: {reason}", param=member)
        return Grammar(matcher)
