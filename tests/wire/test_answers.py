"""Whole answers, plain or streamed, read for the vote."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.ballot import Reply
from gateway.wire.answers import read_sample
from gateway.wire.replies import UnreadableAnswer
from tests.doubles.upstream import chunks, plain

PLAIN, STREAM = "application/json", "text/event-stream; charset=utf-8"


def streamed(*payloads: bytes) -> bytes:
    return b"".join(b"data: " + payload + b"\n\n" for payload in payloads)


@pytest.mark.parametrize("is_chat", [True, False], ids=["chat", "text"])
@pytest.mark.parametrize("said", ["", "42", 'žluťoučký\n漢字 \U0001f600 \0 " \\', "data: [DONE]\n\n"])
def test_both_forms_say_the_same(*, said: str, is_chat: bool) -> None:
    """A plain answer and the same one as a stream cast the same vote."""
    whole = read_sample(plain(said, 0, is_chat=is_chat), PLAIN)
    assert Reply(said, tokens=3, prompt=5) == whole
    assert whole == read_sample(streamed(*chunks(said, 0, is_chat=is_chat)), STREAM)


@pytest.mark.parametrize(
    ("content_type", "is_stream"),
    [
        ("text/event-stream", True), ("text/event-stream;charset=utf-8", True), ("Text/Event-Stream", True),
        ("application/json", False), ("application/json; charset=utf-8", False), ("text/html", False), ("", False),
    ],
)  # fmt: skip
def test_the_content_type_says_which_form_it_is(content_type: str, is_stream: bool) -> None:  # noqa: FBT001
    """Only what is labelled an event stream is read as one, in whatever case; all else is read as JSON."""
    right, wrong = plain("42", 0), streamed(*chunks("42", 0))
    if is_stream:
        right, wrong = wrong, right
    assert "42" == read_sample(right, content_type).content
    with pytest.raises(UnreadableAnswer):
        read_sample(wrong, content_type)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"message": "bad", "code": 400}, 400),
        ({"message": "slow down", "code": 429}, 429),
        ({"message": "oops", "code": 500}, 500),
        ({"message": "oops", "code": 599}, 599),
        ({"message": "oops", "code": 200}, 500),
        ({"message": "oops", "code": 600}, 500),
        ({"message": "oops", "code": "internal_error"}, 500),
        ({"message": "oops", "code": None}, 500),
        ({"message": "oops", "code": True}, 500),
        ({"message": "oops"}, 500),
        ({}, 500),
    ],
)
def test_errors_in_streams(error: dict[str, Any], status: int) -> None:
    """A stream's error has the status that its code tells, else 500, and its own words as the body."""
    for end in ([], [b"[DONE]"]):
        said = [*chunks("4", 0)[:2], json.dumps({"error": error}).encode(), *end]
        with pytest.raises(UnreadableAnswer) as unreadable:
            read_sample(streamed(*said), STREAM)
        assert (status, {"error": error}) == (unreadable.value.status, json.loads(unreadable.value.body))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html></html>", streamed(b"[DONE]"), streamed(b"{}", b"[DONE]"), streamed(b'{"choices":[]}', b"[DONE]"),
        streamed(b'{"choices":[{"index":0}]}', b"[DONE]"), streamed(b"<html>", b"[DONE]"),
        streamed(*chunks("42", 0)[:-1]), streamed(*chunks("42", 0))[:-2],
        streamed(b'{"choices":[{"delta":{"content":42}}]}', b"[DONE]"), plain("42", 0),
    ],
)  # fmt: skip
def test_unreadable_streams(body: bytes) -> None:
    """A stream without an end or without a completion in it is unreadable, and has no status."""
    with pytest.raises(UnreadableAnswer) as unreadable:
        read_sample(body, STREAM)
    assert (None, b"") == (unreadable.value.status, unreadable.value.body)


@given(st.integers(0), st.binary(max_size=3), st.sampled_from([PLAIN, STREAM]))
def test_damaged_answers_are_read_or_unreadable(place: int, damage: bytes, content_type: str) -> None:
    """An answer with damaged bytes is read or unreadable, and nothing worse."""
    body = plain("42", 0) if content_type == PLAIN else streamed(*chunks("42", 0))
    at = place % len(body)
    try:
        reply = read_sample(body[:at] + damage + body[at + len(damage) :], content_type)
    except UnreadableAnswer:
        return
    assert isinstance(reply, Reply)
