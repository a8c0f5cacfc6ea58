"""OpenAI answers out: whole ones and stream chunks, chat and plain, in vLLM's shapes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from backend.torch.generation import Update
from backend.torch.protocol import Call
from backend.torch.sampler import Logprob
from backend.torch.tokenizer import Tokenizer

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """What all chunks of one answer share; `created` in Unix seconds."""

    id: str
    created: int
    model: str


@dataclass(slots=True)
class Answer:
    """The updates of one choice so far, put together."""

    text: str = ""
    tokens: list[int] = field(default_factory=list)
    logprobs: list[Logprob] = field(default_factory=list)
    last: Update = field(default_factory=lambda: Update(""))

    def add(self, update: Update) -> None:
        """Take the next update."""
        self.text += update.text
        self.tokens += update.tokens
        self.logprobs += update.logprobs
        self.last = update


class Shape(Protocol):
    """How one endpoint writes a choice."""

    id_prefix: str
    whole_object: str
    chunk_object: str

    def opening(self, index: int) -> Json | None:
        """The choice of a chunk that comes before any text, if the endpoint has one."""

    def whole(self, text: str, logprobs: Sequence[Logprob] | None) -> Json:
        """A finished choice's text and logprobs."""

    def piece(self, text: str, logprobs: Sequence[Logprob] | None, offset: int) -> Json:
        """A chunk's; `offset` is how many characters came before."""


class ChatShape:
    """`/v1/chat/completions`."""

    id_prefix = "chatcmpl-"
    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def opening(self, index: int) -> Json:
        """The role comes first."""
        delta = {"role": "assistant", "content": ""}
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    def whole(self, text: str, logprobs: Sequence[Logprob] | None) -> Json:
        """The assistant's message."""
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"message": message, "logprobs": self._logprobs(logprobs)}

    def piece(self, text: str, logprobs: Sequence[Logprob] | None, offset: int) -> Json:
        """What the message grew by."""
        del offset
        return {"delta": {"content": text} if text else {}, "logprobs": self._logprobs(logprobs)}

    def _logprobs(self, logprobs: Sequence[Logprob] | None) -> Json | None:
        if logprobs is None:
            return None
        entries = [
            self._entry(of.token, of.logprob) | {"top_logprobs": [self._entry(*pair) for pair in of.top]}
            for of in logprobs
        ]
        return {"content": entries}

    def _entry(self, token: int, logprob: float) -> Json:
        name = self._tokenizer.name(token)
        return {"token": name, "logprob": logprob, "bytes": list(name.encode())}


class CompletionShape:
    """`/v1/completions`."""

    id_prefix = "cmpl-"
    whole_object = chunk_object = "text_completion"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def opening(self, index: int) -> None:
        """Text comes at once."""

    def whole(self, text: str, logprobs: Sequence[Logprob] | None) -> Json:
        """The text."""
        return {"text": text, "logprobs": self._logprobs(logprobs, 0)}

    def piece(self, text: str, logprobs: Sequence[Logprob] | None, offset: int) -> Json:
        """What the text grew by."""
        return {"text": text, "logprobs": self._logprobs(logprobs, offset)}

    def _logprobs(self, logprobs: Sequence[Logprob] | None, offset: int) -> Json | None:
        if logprobs is None:
            return None
        names = [self._tokenizer.name(of.token) for of in logprobs]
        offsets = [offset + sum(map(len, names[:at])) for at in range(len(names))]
        tops = [{self._tokenizer.name(token): value for token, value in of.top} for of in logprobs]
        values = [of.logprob for of in logprobs]
        return {"tokens": names, "token_logprobs": values, "top_logprobs": tops, "text_offset": offsets}


def whole_reply(head: Head, shape: Shape, call: Call, answers: Sequence[Answer]) -> Json:
    """The body of a request without `stream`."""
    choices = [_whole_choice(index, shape, call, answer) for index, answer in enumerate(answers)]
    return _envelope(head, shape.whole_object, choices) | {"usage": usage(call, answers)}


def opening_chunk(head: Head, shape: Shape, index: int) -> Json | None:
    """What a choice's stream begins with, where the endpoint has such a thing."""
    opening = shape.opening(index)
    return None if opening is None else _envelope(head, shape.chunk_object, [opening])


def chunk(head: Head, shape: Shape, call: Call, index: int, update: Update, offset: int) -> Json | None:
    """One update as a chunk; None if it has nothing that the client asked for."""
    wants_tokens = call.return_token_ids or bool(update.logprobs)
    if not (update.text or update.finish_reason or wants_tokens):
        return None
    choice = {"index": index} | shape.piece(update.text, _asked(call, index, update.logprobs), offset)
    return _envelope(head, shape.chunk_object, [choice | _ending(call, update, update.tokens)])


def usage_chunk(head: Head, shape: Shape, call: Call, answers: Sequence[Answer]) -> Json:
    """The last chunk, for `include_usage`: no choices."""
    return _envelope(head, shape.chunk_object, []) | {"usage": usage(call, answers)}


def usage(call: Call, answers: Sequence[Answer]) -> Json:
    """Tokens spent; a prompt counts once, however many answers it got."""
    prompt = sum(len(request.prompt) for request in call.requests[:: call.n])
    completion = sum(len(answer.tokens) for answer in answers)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _whole_choice(index: int, shape: Shape, call: Call, answer: Answer) -> Json:
    choice: Json = {"index": index} | shape.whole(answer.text, _asked(call, index, answer.logprobs))
    choice |= _ending(call, answer.last, answer.tokens)
    if call.return_token_ids:
        choice["prompt_token_ids"] = list(call.requests[index].prompt)
    return choice


def _ending(call: Call, last: Update, tokens: Sequence[int]) -> Json:
    ending: Json = {"finish_reason": last.finish_reason, "stop_reason": last.stop_reason}
    return ending | {"token_ids": list(tokens)} if call.return_token_ids else ending


def _asked(call: Call, index: int, logprobs: Sequence[Logprob]) -> Sequence[Logprob] | None:
    return None if call.requests[index].params.logprobs is None else logprobs


def _envelope(head: Head, kind: str, choices: list[Json]) -> Json:
    return {"id": head.id, "object": kind, "created": head.created, "model": head.model, "choices": choices}
