"""What a stream tells of its verdict, for clients that see no header, and where its header could not say it yet."""

from collections.abc import Mapping
from typing import Any

from gateway.wire.forms.form import Events
from gateway.wire.headers import as_comment, as_member
from gateway.wire.pairs import encode, parse
from gateway.wire.sse import encode_comment, encode_event


def write_events(
    events: Events,
    *,
    include_usage: bool,
    usage_in_chunks: bool = False,
    told: Mapping[str, str] | None,
    in_comment: bool = True,
) -> bytes:
    """The bytes of these events, with the usage that the client asked for.

    `told` goes into that chunk's `consistency` member, and into a comment before the last event unless the header
    has said it all.
    """
    parts = [*(events.with_usage if usage_in_chunks and events.with_usage else events.frames)]
    if include_usage and events.usage:
        parts.append(encode_event(_with_consistency(events.usage, told) if told else events.usage))
    if told and in_comment:
        parts.append(encode_comment(as_comment(told)))
    return b"".join([*parts, events.end])


def _with_consistency(usage: bytes, told: Mapping[str, str]) -> bytes:
    chunk: dict[str, Any] = parse(usage)
    chunk["consistency"] = as_member(told)
    return encode(chunk)
