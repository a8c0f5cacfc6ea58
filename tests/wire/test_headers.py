"""Which header fields go where."""

import pytest
from multidict import CIMultiDict

from gateway.core.pin import Pin
from gateway.wire.headers import (
    TOLD,
    as_comment,
    describe,
    describe_shedding,
    passed_back,
    passed_through,
    sent_on,
)

PIN = Pin(
    body=b"{}", streamed=False, outcome="majority", agreement=2 / 3, k=3, samples=3, distinct=2, divergence=1, tokens=9,
    returned=3, policy="majority",
)  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer",
        "Transfer-Encoding", "Upgrade", "Host", "Content-Length", "Expect",
    ],
)  # fmt: skip
def test_fields_of_the_connection_stay(name: str) -> None:
    """A field that belongs to one connection does not go through it."""
    assert [("accept", "*/*")] == passed_through([(name, "x"), ("Accept", "*/*")])
    assert [] == passed_through([(name.upper(), "x")])


@pytest.mark.parametrize(
    "nominated",
    [["X-Mine"], ["x-mine"], ["close, X-MINE"], ["close,x-mine ,"], ["close", "x-mine"], ["\tx-mine"]],
)
def test_fields_that_connection_names_stay(nominated: list[str]) -> None:
    """A field that `Connection` names, in any case and any of several such fields, does not go through."""
    headers = [("X-Mine", "1"), ("X-Yours", "2"), *(("Connection", value) for value in nominated)]
    assert [("x-yours", "2")] == passed_through(headers)


@pytest.mark.parametrize(
    "name", ["x-consistency-k", "X-Consistency-Policy", "X-CONSISTENCY-SOURCE", "x-consistency-"]
)
def test_fields_of_the_gateway_stay(name: str) -> None:
    """`x-consistency-*` never goes upstream, nor does an upstream's own reach the client."""
    assert [] == passed_through([(name, "1")])
    assert () == passed_back([(name.lower(), "1")])
    assert name.lower() not in dict(sent_on(CIMultiDict({name: "1"}), streamed=False))


def test_everything_else_goes_through_in_order() -> None:
    """Any other field goes through, names in lower case, values as they are, repeated ones repeated, in order."""
    headers = [
        ("Set-Cookie", "a=1"), ("X-Consistent", "1"), ("Set-Cookie", "b=2"), ("Content-Type", "Text/Plain"),
        ("etag", '"É"'),
        ("Content-Encoding", "gzip"), ("Authorization", "Bearer x"), ("Date", "now"), ("Vary", "*"), ("X-Empty", ""),
    ]  # fmt: skip
    assert [(name.lower(), value) for name, value in headers] == passed_through(headers)


@pytest.mark.parametrize(
    ("streamed", "accept"),
    [(False, "application/json"), (True, "text/event-stream")],
    ids=["plain", "streamed"],
)
def test_sent_on(*, streamed: bool, accept: str) -> None:
    """Of the client's header only what is part of the key or cannot change the answer goes with a sample."""
    client = CIMultiDict({
        "Authorization": "Bearer x", "OpenAI-Organization": "o", "OpenAI-Project": "p", "User-Agent": "u",
        "traceparent": "00-1", "tracestate": "s", "Cookie": "c=1", "X-Request-Id": "theirs", "Accept": "*/*",
        "Accept-Encoding": "gzip", "Content-Type": "text/plain", "Content-Length": "9", "Host": "h",
        "X-Forwarded-For": "1.2.3.4",
        "x-consistency-k": "5", "Connection": "close", "Content-Encoding": "gzip", "x-api-key": "k",
        "anthropic-version": "v", "anthropic-beta": "b", "x-goog-api-key": "g",
    })  # fmt: skip
    assert [
        ("authorization", "Bearer x"), ("openai-organization", "o"), ("openai-project", "p"), ("x-api-key", "k"),
        ("anthropic-version", "v"), ("anthropic-beta", "b"), ("user-agent", "u"),
        ("traceparent", "00-1"), ("tracestate", "s"),
        ("content-type", "application/json"), ("accept", accept), ("accept-encoding", "identity"),
    ] == [*sent_on(client, streamed=streamed)]  # fmt: skip


def test_sent_on_without_anything() -> None:
    """A client without credentials sends none."""
    assert ["content-type", "accept", "accept-encoding"] == [name for name, _ in sent_on({}, streamed=False)]


def test_passed_back() -> None:
    """Of an upstream's header the client gets rate limits, when to retry, the makers' own and the type of the body."""
    fields = [
        ("x-ratelimit-limit-requests", "60"), ("x-ratelimit-reset-tokens", "6m0s"), ("retry-after", "7"),
        ("retry-after-ms", "70"),
        ("openai-processing-ms", "5"), ("openai-version", "2020-10-01"), ("content-type", "application/json"),
        ("anthropic-ratelimit-requests-remaining", "59"),
    ]  # fmt: skip
    others = [
        ("server", "uvicorn"), ("date", "now"), ("set-cookie", "a=1"), ("content-length", "5"),
        ("x-request-id", "theirs"),
        ("content-encoding", "gzip"), ("x-ratelimited", "1"), ("connection", "close"), ("x-should-retry", "true"),
    ]  # fmt: skip
    mixed = [pair for both in zip(fields, others, strict=False) for pair in both]
    assert tuple(fields) == passed_back(mixed)


def test_describe() -> None:
    """A verdict is described by these fields."""
    assert {
        "x-consistency-source": "vote", "x-consistency-outcome": "majority", "x-consistency-agreement": "0.67",
        "x-consistency-k": "3", "x-consistency-samples": "3", "x-consistency-distinct": "2",
        "x-consistency-tokens": "9",
        "x-consistency-policy": "majority", "x-consistency-key": "abc", "x-consistency-divergence": "1",
    } == describe(PIN, "vote", "abc")  # fmt: skip


def test_all_that_is_told_has_a_known_name() -> None:
    """An answer has no other `x-consistency-*` fields than those that may come back with a request."""
    told = describe(PIN._replace(margin=0.5), "vote", "abc") | describe_shedding(3)
    assert {f"x-consistency-{name}" for name in TOLD} == told.keys()


@pytest.mark.parametrize(
    ("agreement", "shown"),
    [(0.0, "0.00"), (1.0, "1.00"), (1 / 3, "0.33"), (2 / 3, "0.67"), (0.5, "0.50"), (1 / 16, "0.06")],
)
def test_agreement_has_two_decimals(agreement: float, shown: str) -> None:
    """Agreement is shown with two decimals."""
    assert shown == describe(PIN._replace(agreement=agreement), "vote", "")["x-consistency-agreement"]


def test_what_is_not_known_is_not_described() -> None:
    """Without a key or a difference those fields are absent; a difference at the first character is 0."""
    described = describe(PIN._replace(divergence=None), "single", "")
    assert {"x-consistency-key", "x-consistency-divergence"}.isdisjoint(described)
    assert "0" == describe(PIN._replace(divergence=0), "vote", "")["x-consistency-divergence"]


def test_as_comment() -> None:
    """The same fields as one line."""
    told = {"x-consistency-k": "3", "x-consistency-samples": "2"}
    assert "x-consistency-k=3 x-consistency-samples=2" == as_comment(told)
    assert "\n" not in as_comment(describe(PIN, "vote", "abc"))


def test_a_list_is_one_word_of_a_comment() -> None:
    """The blanks after the separators of a field's value, which it does not need, are left out."""
    told = {"cache-status": "scg; fwd=miss; stored", "server-timing": "upstream;dur=1.50, gateway;dur=0.25"}
    comment = as_comment(told)
    assert "cache-status=scg;fwd=miss;stored server-timing=upstream;dur=1.50,gateway;dur=0.25" == comment
