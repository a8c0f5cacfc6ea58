"""One answer in the making."""

from dataclasses import dataclass
from typing import Literal

import torch

from backend.torch.grammar import Grammar
from backend.torch.sampler import Draw, Logprob, Sampled, SamplingParams, new_generator
from backend.torch.text import Detokenizer, StopScanner
from backend.torch.tokenizer import Tokenizer

FinishReason = Literal["stop", "length", "abort"]


@dataclass(frozen=True, slots=True)
class Request:
    """What to answer, and how. The prompt has at least one token and leaves room for another."""

    prompt: tuple[int, ...]
    params: SamplingParams
    grammar: Grammar | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """What one step added to an answer; the last one has a `finish_reason`.

    Attributes:
        text: to be shown now; may lag behind `tokens`.
        stop_reason: the stop string or token that ended the answer; None at the model's own end.
    """

    text: str
    tokens: tuple[int, ...] = ()
    logprobs: tuple[Logprob, ...] = ()
    finish_reason: FinishReason | None = None
    stop_reason: str | int | None = None


class Generation:
    """A request's state: its tokens so far, its own randomness, and the text not shown yet."""

    def __init__(self, request: Request, tokenizer: Tokenizer, device: torch.device, max_len: int) -> None:
        self.request = request
        self.output: list[int] = []
        self.finish_reason: FinishReason | None = None
        self._grammar = request.grammar.fresh() if request.grammar else None
        self.sampled = Sampled(request.params, new_generator(request.params.seed, device), self._grammar)
        self._ends = frozenset() if request.params.ignore_eos else tokenizer.ends
        self._room = min(request.params.max_tokens, max_len - len(request.prompt))
        self._detokenizer = Detokenizer(tokenizer.decode)
        self._stops = StopScanner(request.params.stop)

    @property
    def is_finished(self) -> bool:
        """Whether no more tokens are wanted."""
        return self.finish_reason is not None

    @property
    def last_token(self) -> int:
        """The token whose successor comes next."""
        return self.output[-1]

    @property
    def num_reserved(self) -> int:
        """Tokens whose keys may have to be kept: all but the last possible one."""
        return len(self.request.prompt) + self._room - 1

    def abort(self) -> None:
        """Nobody waits for it any more."""
        if not self.is_finished:
            self.finish_reason = "abort"

    def advance(self, draw: Draw) -> Update:
        """Take the next token."""
        self.output.append(draw.token)
        if self._grammar is not None:
            self._grammar.accept(draw.token)
        text, reason = self._read(draw.token)
        return Update(
            text=text,
            tokens=(draw.token,),
            logprobs=() if draw.logprob is None else (draw.logprob,),
            finish_reason=self.finish_reason,
            stop_reason=reason,
        )

    def _read(self, token: int) -> tuple[str, str | int | None]:
        """Text to show now, and what stopped the answer if that was a stop string or token."""
        if token in self._ends or token in self.request.params.stop_token_ids:
            self.finish_reason = "stop"
            text, stop = self._stops.push(self._detokenizer.flush())
            named = None if token in self._ends else token
            return text + self._stops.flush(), stop or named
        text, stop = self._stops.push(self._detokenizer.push(token))
        is_complete = self._grammar is not None and self._grammar.is_complete
        if stop is None and (is_complete or len(self.output) >= self._room):
            self.finish_reason = "stop" if is_complete else "length"
            more, stop = self._stops.push(self._detokenizer.flush())
            text += more + self._stops.flush()
        if stop is not None:
            self.finish_reason = "stop"
        return text, stop
