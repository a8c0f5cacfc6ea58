"""Upstreams that answer anything: headers, bodies and event streams as bytes, real ones made wrong.

`FUZZ_CASES=10000 pytest tests/fuzz` runs as many cases, other ones each time.
"""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.wire.sse import EventDecoder
from tests.doubles import shapes
from tests.doubles.upstream import chunks, plain
from tests.fuzz.bench import Bench, Got, Script, fuzzed, open_bench, whole
from tests.fuzz.mutations import SPLITS, mutated, split

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
PATHS = (CHAT, COMPLETIONS, shapes.RESPONSES, shapes.MESSAGES)
EVENTS = (b"content-type: text/event-stream; charset=utf-8",)

numbers = count()


def streamed(path: str, content: str) -> bytes:
    if path in {shapes.RESPONSES, shapes.MESSAGES}:
        return shapes.stream(path, content, 0)
    payloads = chunks(content, 0, is_chat=path == CHAT)
    return b"".join(b"data: " + payload + b"\n\n" for payload in payloads)


def answered(path: str, content: str) -> bytes:
    if path in {shapes.RESPONSES, shapes.MESSAGES}:
        return shapes.plain(path, content, 0)
    return plain(content, 0, is_chat=path == CHAT)


def chunked(body: bytes) -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in split(body, range(0, len(body), 97)))
    return (
        b"HTTP/1.1 200 OK\r\n" + EVENTS[0] + b"\r\ntransfer-encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"
    )


ERROR = json.dumps({"error": {"message": "no", "type": "t", "param": None, "code": 5}}).encode()
ORIGINALS = [
    *(whole(answered(path, content)) for path in PATHS for content in ("42", "")),
    *(whole(streamed(path, "42"), *EVENTS) for path in PATHS),
    *(chunked(streamed(path, "hello")) for path in PATHS),
    *(
        whole(body, b"retry-after: 0", status=status)
        for status in (b"400 Bad", b"429 Slow", b"500 Oops", b"503 Busy", b"599 What", b"302 Found", b"204 Nothing")
        for body in (ERROR, b"<html>no</html>", b"")
    ),
    b"HTTP/1.1 100 Continue\r\n\r\n" + whole(plain("42", 0)),
]  # fmt: skip

scripts = st.builds(
    lambda data, places, end: Script(split(data, places), end),
    mutated(ORIGINALS),
    SPLITS,
    st.sampled_from(["keep", "close", "close", "close", "reset"]),
)
questions = st.fixed_dictionaries(
    {"path": st.sampled_from(PATHS), "stream": st.booleans(), "k": st.integers(1, 3)},
    optional={"n": st.just(2)},  # passes through
)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with open_bench() as opened:
        yield opened


def body_of(asked: dict[str, Any], number: int) -> bytes:
    """A question that nobody asked before."""
    text = f"question {number}"
    body: dict[str, Any] = {"model": "m", "max_tokens": 5, "stream": asked["stream"], "temperature": 0}
    said: dict[str, dict[str, Any]] = {
        COMPLETIONS: {"prompt": text},
        shapes.RESPONSES: {"input": text, "store": False},
    }
    body |= said.get(asked["path"], {"messages": [{"role": "user", "content": text}]})
    if "n" in asked:
        body["n"] = 2
    return json.dumps(body | {"consistency": {"k": asked["k"]}}).encode()


def is_sound(got: Got) -> bool:
    """Whether a voted answer is one that clients understand: JSON, whole events, or an error of OpenAI's shape."""
    assert got.is_whole
    assert "internal_error" not in got.body.decode(errors="replace")
    if got.status >= 400:
        assert isinstance(got.json, dict)
        return True
    assert 200 == got.status
    if not got.headers["content-type"].startswith("text/event-stream"):
        assert isinstance(got.json, dict)
        return True
    assert got.body.endswith(b"\n\n")
    events = EventDecoder().feed(got.body)
    assert events
    assert all(event.data == b"[DONE]" or isinstance(json.loads(event.data), dict) for event in events)
    return True


@fuzzed
@given(scripts, questions)
@example(Script([whole(b"<html>", status=b"500 Oops")]), {"path": CHAT, "stream": False, "k": 1})
def test_whatever_an_upstream_answers(bench: Bench, script: Script, asked: dict[str, Any]) -> None:
    """No hang, no bug, no answer that is not HTTP; errors have a body of OpenAI's shape; hits are their own question's.

    A question that nobody asked before is never answered from the cache. If its answer was pinned, it comes again,
    to the letter; if not, it is asked anew.
    """
    body = body_of(asked, next(numbers))
    bench.script = script
    first = bench.ask(asked["path"], body)
    if "n" in asked and asked["path"] in {CHAT, COMPLETIONS}:
        assert first is None or first.status >= 200  # as it came, or cut off
        return
    assert first is not None
    assert is_sound(first)
    assert "cache" != first.headers.get("x-consistency-source")
    bench.script = Script([whole(answered(asked["path"], "sentinel"))], is_whole=True)
    again = bench.ask(asked["path"], body)
    assert again is not None
    assert is_sound(again)
    if "cache" == again.headers.get("x-consistency-source"):
        assert 200 == first.status
        assert b"sentinel" not in again.body
    elif not asked["stream"]:
        assert (200, True) == (again.status, b"sentinel" in again.body)


def test_nothing_is_left_behind(bench: Bench) -> None:
    """After all cases no request, call or vote is under way, the gateway lives, and has logged no bug."""
    assert bench.is_quiet()
    assert [] == bench.bugs.found
