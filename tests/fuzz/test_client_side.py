"""Clients that send anything: heads, bodies and questions as bytes, real ones made wrong.

`FUZZ_CASES=10000 pytest tests/fuzz` runs as many cases, other ones each time.
"""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.bench import Bench, Got, fuzzed, open_bench, post
from tests.fuzz.mutations import SPLITS, changed, mutated, split

CHAT = "/v1/chat/completions"
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "temperature": 0}
BODY = json.dumps(QUESTION).encode()


def get(target: str, *fields: bytes) -> bytes:
    return b"\r\n".join([b"GET %b HTTP/1.1" % target.encode(), b"host: h", *fields]) + b"\r\n\r\n"


ORIGINALS = [
    post(CHAT, BODY),
    post(CHAT, json.dumps(QUESTION | {"stream": True}).encode(), b"x-request-id: a"),
    post(CHAT, json.dumps(QUESTION | {"n": 2}).encode()),
    post(CHAT, BODY, b"x-consistency-k: 2", b"x-consistency-policy: single", b"cache-control: no-cache"),
    post(CHAT, BODY, b"cache-control: only-if-cached", b"authorization: Bearer a"),
    post("/v1/completions", b'{"model":"m","prompt":"hello"}'),
    post("/v1/responses", b'{"model":"m","input":"hello","store":false}'),
    post("/v1/messages", b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hello"}]}'),
    post("/v1/embeddings", b'{"model":"m","input":"hello"}'),
    post(CHAT, gzip.compress(BODY), b"content-encoding: gzip"),
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    % (len(BODY), BODY),
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n{}",
    post(CHAT, BODY, b"connection: close"),
    *(get(path) for path in ("/healthz", "/readyz", "/metrics", "/v1/models", "/v1/consistency/summary", "/")),
    get("/v1/consistency/cache/" + "0" * 64),
    get("/v1/nothing/../else?a=b", b"accept: text/plain"),
]  # fmt: skip


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with open_bench() as opened:
        yield opened


def is_sound(got: Got) -> bool:
    """Whether an answer is whole, and if it is an error, one of OpenAI's shape that is not our fault."""
    assert got.is_whole
    assert 200 <= got.status < 600
    if got.status >= 400:
        assert {"message", "type"} <= got.json["error"].keys()
        assert "internal_error" != got.json["error"].get("code")
    return True


@fuzzed
@given(st.lists(mutated(ORIGINALS), min_size=1, max_size=3), SPLITS)
def test_whatever_a_client_sends(bench: Bench, requests: list[bytes], places: list[int]) -> None:
    """No hang, no bug, nothing that is not HTTP: each request has one answer, and each error OpenAI's shape."""
    bench.script = None
    answers = bench.talk(*split(b"".join(requests), places))
    assert all(is_sound(got) for got in answers if got.status >= 200)


NUMBERS = st.sampled_from([b"0", b"0.0", b"-0", b"0e5", b"1", b"1.0", b"10e-1", b"null"])
TEXTS = st.sampled_from(
    [b'"a"', b'"\\u0061"', b'"b"', b'"\xc3\xa9"', b'"\\u00e9"', b'"e\\u0301"', b'"a "', b'""']
)
NUMERIC = st.sampled_from([b'"temperature"', b'"top_p"', b'"top_k"', b'"Seed"', b'"\\u0074emperature"'])
SPACES = st.sampled_from([b"", b" ", b"\n\t"])
SEEDS = st.tuples(
    st.just(b'"seed"'), st.sampled_from([b"0", b"1", b"-1", b"null", b"1.0", b'"1"', b"true"]), SPACES
)

members = st.lists(
    st.one_of(
        st.tuples(NUMERIC, NUMBERS, SPACES),
        st.tuples(st.sampled_from([b'"user"', b'"stop"', b'"extra"']), TEXTS, SPACES),
        SEEDS,
    ),
    max_size=2,
    unique_by=lambda member: member[0],
)
CHANGES: st.SearchStrategy[list[tuple[str, int, bytes]]] = st.one_of(
    st.just([]),
    st.just([]),
    st.lists(
        st.tuples(st.just("replace"), st.integers(0, 99), st.sampled_from([b"a", b"1", b" ", b'"'])),
        max_size=1,
    ),
)


def question(text: bytes, more: list[tuple[bytes, bytes, bytes]], is_last: bool) -> bytes:  # noqa: FBT001
    """A question, its members in one order or another, spelt in one way or another."""
    asked = [b'"messages":[{"role":"user","content":%b}]' % text, b'"model":"m"']
    added = [b"%b%b:%b%b" % (name, space, space, value) for name, value, space in more]
    return b"{" + b",".join([*asked, *added] if is_last else [*added, *asked]) + b"}"


@fuzzed
@given(st.builds(changed, st.builds(question, TEXTS, members, st.booleans()), CHANGES))
def test_a_hit_is_the_answer_to_this_very_question(bench: Bench, body: bytes) -> None:
    """Whatever is pinned for a question is what an upstream that is sent this question answers.

    The upstream names what it was asked. Questions are drawn from so few that most were asked before, spelt
    otherwise; asked with `no-store` an upstream is sent the question itself.
    """
    bench.script = None
    found, fresh = bench.ask(CHAT, body), bench.ask(CHAT, body, b"cache-control: no-store")
    assert found is not None
    assert fresh is not None
    assert is_sound(found)
    assert is_sound(fresh)
    assert found.status == fresh.status
    if found.status == 200:
        assert content(found.json) == content(fresh.json)


def content(answer: Any) -> str:
    said: str = answer["choices"][0]["message"]["content"]
    return said


def test_nothing_is_left_behind(bench: Bench) -> None:
    """After all cases no request, call or vote is under way, the gateway lives, and has logged no bug."""
    assert bench.is_quiet()
    assert [] == bench.bugs.found
