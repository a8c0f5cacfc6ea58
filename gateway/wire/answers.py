"""An upstream's whole answer, plain or streamed, read for the vote."""

import msgspec

from gateway.core.ballot import Reply
from gateway.wire.chunks import BrokenStream, merge, read_stream
from gateway.wire.replies import UnreadableAnswer, convert_reply, read_reply

EVENT_STREAM = "text/event-stream"


def read_sample(body: bytes, content_type: str) -> Reply:
    """What the answer says; UnreadableAnswer if it is no completion or did not come whole."""
    if not content_type.lower().startswith(EVENT_STREAM):
        return read_reply(body)
    try:
        return convert_reply(merge(read_stream(body)))
    except BrokenStream as broken:
        if broken.error is None:
            raise UnreadableAnswer(str(broken)) from broken
        error = msgspec.json.encode({"error": broken.error})
        raise UnreadableAnswer(str(broken), _status(broken.error.get("code")), error) from broken


def _status(code: object) -> int:
    """vLLM puts the HTTP status into `code`; other words are taken for a server's failure."""
    return code if isinstance(code, int) and 400 <= code < 600 else 500
