"""An upstream's whole answer, plain or streamed, read for the vote."""

from typing import Any

import msgspec

from gateway.core.ballot import Reply
from gateway.wire.chunks import BrokenStream, merge, read_stream
from gateway.wire.forms.exact import read_object
from gateway.wire.forms.faults import status_of, words_of
from gateway.wire.forms.form import Json
from gateway.wire.replies import UnreadableAnswer, convert_reply, read_reply

EVENT_STREAM = "text/event-stream"


def is_stream(content_type: str) -> bool:
    """Whether an answer with this `content-type` is a stream of events."""
    return content_type.lower().startswith(EVENT_STREAM)


def read_sample(body: bytes, content_type: str) -> Reply:
    """What the answer says; UnreadableAnswer if it is no completion or did not come whole."""
    if not is_stream(content_type):
        return _read_plain(body)
    try:
        return convert_reply(merge(read_stream(body)))
    except BrokenStream as broken:
        raise unreadable(broken) from broken


def _read_plain(body: bytes) -> Reply:
    try:
        return read_reply(body)
    except UnreadableAnswer:
        error = error_instead(read_object(body), body)
        if error is not None:
            raise error from None
        raise


def error_instead(answer: Json, body: bytes) -> UnreadableAnswer | None:
    """What an answer is to the vote that is an upstream's error, whatever its status; None if it is none."""
    error = answer.get("error")
    if not error:
        return None
    said = words_of(answer) or "an error without a message"
    return UnreadableAnswer(said, status_of(error if isinstance(error, dict) else {}), body)


def unreadable(broken: BrokenStream, **around: Any) -> UnreadableAnswer:
    """What a broken stream is to the vote. `around` is what else there is in the body of the upstream's error."""
    if broken.error is None:
        return UnreadableAnswer(str(broken))
    body = msgspec.json.encode({**around, "error": broken.error})
    return UnreadableAnswer(str(broken), status_of(broken.error), body)
