"""A line of the output: OpenAI's batch format, and beside it what the gateway says of the vote."""

import json
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.bulk.jobs import Job
from gateway.calling.post import Failed, Got
from gateway.upstream.client import field
from gateway.wire.forms.table import BY_PATH
from gateway.wire.headers import as_member
from gateway.wire.replies import UnreadableAnswer

_JSON = "application/json"
# An answer, and the verdict that there is none: the rest may go otherwise again.
_ANSWERS = frozenset({200, 422})


class Response(msgspec.Struct):
    """What the gateway answered, its body as JSON."""

    status_code: int
    request_id: str
    body: msgspec.Raw


class Fault(msgspec.Struct):
    """Why there is no response."""

    code: str
    message: str


class Record(msgspec.Struct):
    """The line. Either `response` or `error` is null."""

    id: str
    custom_id: str
    response: Response | None
    error: Fault | None
    consistency: dict[str, Any] | None

    @property
    def is_final(self) -> bool:
        """Whether asking again would be of no use."""
        return self.response is not None and self.response.status_code in _ANSWERS

    @property
    def line(self) -> bytes:
        """As it stands in the file."""
        return msgspec.json.encode(self) + b"\n"


_DECODER = msgspec.json.Decoder(Record)


def read_record(line: bytes) -> Record:
    """A line of the file; ValueError if it is none."""
    try:
        return _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def make_record(name: str, job: Job, got: Got | Failed) -> Record:
    """What came of a job, under this name."""
    if isinstance(got, Failed):
        return Record(name, job.custom_id, None, Fault(got.reason, got.detail), None)
    body = _as_json(got.body)
    if body is None and got.status == 200:
        return Record(name, job.custom_id, None, Fault("unreadable", f"no JSON: {got.words}"), None)
    if body is None:
        body = msgspec.Raw(json.dumps(got.body.decode(errors="replace")).encode())
    response = Response(got.status, field(got.headers, "x-request-id"), body)
    return Record(name, job.custom_id, response, None, as_member(dict(got.told)) or None)


def _as_json(body: bytes) -> msgspec.Raw | None:
    """The body on one line, its numbers and texts as they came; None if it is no JSON."""
    try:
        body.decode()
        return msgspec.Raw(msgspec.json.format(body, indent=-1))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


@dataclass(frozen=True, slots=True)
class Answered:
    """What a summary needs of a line. `agreement` is None where nothing was voted on."""

    job: Job
    is_final: bool
    outcome: str
    source: str
    agreement: float | None
    k: int
    samples: int
    distinct: int
    spent: int  # completion tokens of all samples of the vote
    returned: int  # completion tokens of the answer
    said: str  # the answer, or why there is none


def answered(job: Job, record: Record) -> Answered:
    """What a record says."""
    told = record.consistency or {}
    agreement = told.get("agreement")
    said, returned = _said(job, record)

    def whole(name: str) -> int:
        value = told.get(name)
        return value if isinstance(value, int) else 0

    return Answered(
        job,
        record.is_final,
        str(told.get("outcome", "")),
        str(told.get("source", "")),
        float(agreement) if isinstance(agreement, int | float) else None,
        whole("k"),
        whole("samples"),
        whole("distinct"),
        whole("tokens"),
        returned,
        said,
    )


def _said(job: Job, record: Record) -> tuple[str, int]:
    """The answer in words, and its tokens."""
    if record.response is None:
        return (record.error.message if record.error else ""), 0
    status, body = record.response.status_code, bytes(record.response.body)
    if status != 200:
        return Got(status, (), body, 0.0).words, 0
    try:
        reply = BY_PATH[job.path].reply(body, _JSON)
    except UnreadableAnswer as error:
        return f"no completion: {error}", 0
    return reply.shown, reply.tokens
