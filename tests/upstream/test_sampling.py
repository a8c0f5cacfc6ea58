"""One sample taken: whatever an upstream does, a Sample or an Abstention that says why."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from gateway.core.ballot import Abstention, Reply, Sample
from gateway.core.plan import Plan
from gateway.core.policy import PRESETS
from gateway.core.round import Launch
from gateway.settings.model import RetrySettings, Timeouts, UpstreamSettings
from gateway.telemetry.metrics import Metrics
from gateway.upstream.aiohttp_client import AiohttpClient
from gateway.upstream.hedging import Listener
from gateway.upstream.retries import Retries
from gateway.upstream.sampling import Asked, Bounds, take_sample
from gateway.upstream.silence import Silence
from gateway.upstream.slots import Slots
from gateway.upstream.turns import LoneTurn
from gateway.upstream.upstream import Upstream
from gateway.wire.forms import completions as forms
from tests.doubles import upstream as doubles
from tests.doubles.redis_server import free_port
from tests.doubles.upstream import ENDLESS, HALF, HANG, HTML, RESET, chunks, open_upstream, plain
from tests.upstream.raw_server import Connection, Play, breaking, dripping, hanging, open_raw

CHAT = "/v1/chat/completions"
JSON, STREAM = {"content-type": "application/json"}, {"content-type": "text/event-stream; charset=utf-8"}
PATIENT = Timeouts(connect=30, first_byte=30, idle=30)
BOUNDS = Bounds(total=30, patience=30, max_answer=1 << 20)


def body(launch: Launch, _engine: str, *, stream: bool = False) -> bytes:
    return json.dumps({"model": "m", "messages": [], "seed": launch.seed, "stream": stream}).encode()


ONCE = Retries(RetrySettings(limit=0), Metrics(CollectorRegistry()))
HEADERS = [("authorization", "Bearer client"), ("content-type", "application/json")]
ASKED = Asked(
    forms.CHAT, HEADERS, body, ONCE.allow(), Silence(Plan(PRESETS["majority"], 1, greedy=True, question=b""))
)


@dataclass
class Desk:
    """What takes samples: one upstream, and its metrics."""

    upstream: Upstream
    registry: CollectorRegistry
    slots: Slots

    async def take(
        self,
        index: int = 0,
        asked: Asked = ASKED,
        bounds: Bounds = BOUNDS,
        listener: Listener | None = None,
    ) -> Sample | Abstention:
        launch = Launch(index, 100 + index)
        return await take_sample(launch, asked, LoneTurn(self.upstream), self.slots, bounds, listener)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"upstream": "u", **labels})

    @property
    def counted(self) -> dict[str, float]:
        """Calls by result."""
        found = [sample for metric in self.registry.collect() for sample in metric.samples]
        return {
            sample.labels["result"]: sample.value
            for sample in found
            if sample.name == "scg_upstream_requests_total" and sample.value
        }


@asynccontextmanager
async def desk(
    url: str, timeouts: Timeouts = PATIENT, slots: Slots | None = None, **settings: Any
) -> AsyncIterator[Desk]:
    client, registry = AiohttpClient(timeouts), CollectorRegistry()
    upstream = Upstream(UpstreamSettings(url=url, name="u", **settings), client, Metrics(registry))
    try:
        yield Desk(upstream, registry, slots or Slots(None))
    finally:
        await client.aclose()


def answer(body_: bytes, status: int = 200, **headers: str) -> doubles.Reply:
    return doubles.Reply(
        status, body_, JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    )


def streamed(*payloads: bytes) -> doubles.Reply:
    return doubles.Reply(200, b"".join(b"data: " + payload + b"\n\n" for payload in payloads), STREAM)


# Samples.


async def test_a_sample() -> None:
    """A completion is a Sample: what it says, its bytes as they came, and what of its header concerns the client."""
    async with (
        open_upstream(answer(plain("42", 7), openai_version="2020", server="x")) as far,
        desk(far.url) as near,
    ):
        expected = Sample(
            3, Reply("42", tokens=3, prompt=5), plain("42", 7), streamed=False,
            headers=(("content-type", "application/json"), ("openai-version", "2020")), upstream="u",
        )  # fmt: skip
        assert expected == await near.take(3)
        assert ({"ok": 1.0}, 0.0, 1.0) == (
            near.counted, near.metric("scg_upstream_in_flight"), near.metric("scg_upstream_seconds_count"),
        )  # fmt: skip


async def test_a_streamed_sample() -> None:
    """A stream is the same Sample, kept as a stream."""
    async with open_upstream("42") as far, desk(far.url) as near:
        taken = await near.take(
            asked=ASKED._replace(body=lambda launch, engine: body(launch, engine, stream=True))
        )
        assert isinstance(taken, Sample)
        assert (Reply("42", tokens=3, prompt=5), True) == (taken.reply, taken.streamed)
        assert b"".join(b"data: " + payload + b"\n\n" for payload in chunks("42", 0)) == taken.body


async def test_what_is_sent() -> None:
    """The question goes to the path with the sample's own seed, in the client's header."""
    async with open_upstream() as far, desk(far.url) as near:
        for index in (0, 2):
            await near.take(index)
        assert [CHAT, CHAT] == [seen.path for seen in far.seen]
        assert [body(Launch(index, 100 + index), "") for index in (0, 2)] == [seen.raw for seen in far.seen]
        assert ["Bearer client"] * 2 == [seen.headers["authorization"] for seen in far.seen]


async def test_the_upstreams_own_key() -> None:
    """An upstream's own key goes in the place of the client's, which it never sees."""
    async with open_upstream() as far, desk(far.url, api_key="own", headers=(("x-team", "a"),)) as near:
        await near.take()
        assert ("Bearer own", "a") == (far.seen[0].headers["authorization"], far.seen[0].headers["x-team"])
        assert "client" not in str(far.seen[0].headers)


# Listening.


class Ear:
    """A listener that notes what it hears, and when the first of it came."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, bytes]] = []
        self.first = asyncio.Event()

    def __call__(self, index: int, piece: bytes) -> None:
        self.heard.append((index, piece))
        self.first.set()

    @property
    def whole(self) -> bytes:
        return b"".join(piece for _, piece in self.heard)


async def test_a_stream_is_heard_while_it_comes() -> None:
    """A listener hears each piece before the sample is whole, and the sample is the same as without one."""
    payloads = chunks("42", 0)
    go_on = asyncio.Event()

    async def answer_in_two(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await connection.send(streamed(*payloads[:2]).body)
        await go_on.wait()
        await connection.send(streamed(*payloads[2:]).body)

    async with open_raw(answer_in_two) as raw, desk(raw.url) as near:
        ear = Ear()
        taking = asyncio.create_task(near.take(3, listener=ear))
        heard = asyncio.create_task(ear.first.wait())
        await asyncio.wait({taking, heard}, return_when=asyncio.FIRST_COMPLETED)
        assert heard.done()
        assert streamed(*payloads[:2]).body.startswith(ear.whole)
        assert not taking.done()
        go_on.set()
        taken = await taking
    assert isinstance(taken, Sample)
    assert ({3}, taken.body, Reply("42", tokens=3, prompt=5)) == (
        {index for index, _ in ear.heard},
        ear.whole,
        taken.reply,
    )


@pytest.mark.parametrize(
    "scripted",
    [answer(plain("42", 0)), answer(b"bad", 400), doubles.Reply(500, b"data: a\n\n", STREAM),
     doubles.Reply(202, b"data: a\n\n", STREAM)],
)  # fmt: skip
async def test_only_streams_are_heard(scripted: doubles.Reply) -> None:
    """Plain answers and errors, streamed or not, are for nobody's ears before they are whole."""
    async with open_upstream(scripted) as far, desk(far.url) as near:
        ear = Ear()
        await near.take(listener=ear)
        assert [] == ear.heard


async def test_a_stream_that_stalls() -> None:
    """A stream on which nothing comes for the idle time-out is an Abstention; what was heard of it stays heard."""
    begun = streamed(*chunks("42", 0)[:2]).body
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n"
    idle = Timeouts(connect=30, first_byte=30, idle=0.1)
    async with open_raw(hanging(head + begun)) as raw, desk(raw.url, idle) as near:
        ear = Ear()
        taken = await near.take(5, listener=ear)
        assert isinstance(taken, Abstention)
        assert ("timeout", {"timeout": 1.0}, begun) == (taken.reason, near.counted, ear.whole)
        await raw.connections[0].left.wait()


# Abstentions.


def status(code: int, body_: bytes, *headers: tuple[str, str]) -> Abstention:
    return Abstention(5, "status", code, body_, headers, "u")


_TYPE = ("content-type", "application/json")
ABSTENTIONS: dict[str, tuple[doubles.Answer, Abstention]] = {
    "400": (answer(b"bad", 400), status(400, b"bad", _TYPE)),
    "401": (answer(b"who", 401, www_authenticate="Bearer"), status(401, b"who", _TYPE)),
    "404": (answer(b"no", 404), status(404, b"no", _TYPE)),
    "429": (
        answer(b"slow", 429, retry_after="7", retry_after_ms="7000", x_ratelimit_remaining_tokens="0"),
        status(429, b"slow", _TYPE, ("retry-after", "7"), ("retry-after-ms", "7000"),
               ("x-ratelimit-remaining-tokens", "0")),
    ),
    "500": (answer(b"oops", 500), status(500, b"oops", _TYPE)),
    "503": (answer(b"busy", 503, retry_after="1"), status(503, b"busy", _TYPE, ("retry-after", "1"))),
    "an error in HTML": (
        doubles.Reply(502, b"<html>", {"content-type": "text/html"}),
        status(502, b"<html>", ("content-type", "text/html")),
    ),
    "an error in 200's clothes": (
        streamed(*chunks("4", 0)[:2], b'{"error":{"message":"no","code":429}}', b"[DONE]"),
        status(429, b'{"error":{"message":"no","code":429}}'),
    ),
    "an error in a stream that breaks off": (
        streamed(b'{"error":{"message":"no","code":"oops"}}'), status(500, b'{"error":{"message":"no","code":"oops"}}'),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("scripted", "expected"), ABSTENTIONS.values(), ids=ABSTENTIONS)
async def test_statuses(scripted: doubles.Answer, expected: Abstention) -> None:
    """An upstream's error is an Abstention with its status, its words and when to retry; it is up all the same."""
    async with open_upstream(scripted) as far, desk(far.url) as near:
        near.upstream.mark(up=False)
        assert expected == await near.take(5)
        assert ({"status": 1.0}, True) == (near.counted, near.upstream.is_up)


GARBAGE: dict[str, doubles.Answer] = {
    "HTML": HTML,
    "nothing": answer(b""),
    "half JSON": answer(plain("42", 0)[:-20]),
    "no choices": answer(b'{"choices":[]}'),
    "wrong types": answer(b'{"choices":[{"message":{"content":42}}]}'),
    "another encoding": answer(plain("é", 0).decode().encode("latin-1")),
    "a stream that breaks off": streamed(*chunks("42", 0)[:-1]),
    "a stream of nothing": streamed(b"[DONE]"),
    "a stream of garbage": streamed(b"<html>", b"[DONE]"),
    "a stream labelled JSON": doubles.Reply(200, streamed(*chunks("42", 0)).body, JSON),
    "JSON labelled a stream": doubles.Reply(200, plain("42", 0), STREAM),
    "a redirect": answer(b"", 307, location="http://127.0.0.1:1/"),
    "a redirect to a completion": answer(plain("42", 0), 301, location="http://127.0.0.1:1/"),
    "accepted": answer(plain("42", 0), 202),
    "no content": doubles.Reply(204, b"", {}),
}


@pytest.mark.parametrize("scripted", GARBAGE.values(), ids=GARBAGE)
async def test_garbage(scripted: doubles.Answer) -> None:
    """What is no completion is an Abstention called garbage, with a reason and without a status."""
    async with open_upstream(scripted) as far, desk(far.url) as near:
        taken = await near.take(5)
        assert isinstance(taken, Abstention)
        assert replace(taken, detail=b"") == Abstention(5, "garbage", upstream="u")
        assert (True, {"garbage": 1.0}) == (bool(taken.detail), near.counted)


@pytest.mark.parametrize("scripted", [HALF, RESET, ENDLESS])
async def test_broken(scripted: str) -> None:
    """Half a body, a reset and a body over the bound are Abstentions called broken."""
    async with open_upstream(scripted) as far, desk(far.url) as near:
        taken = await near.take(5)
        assert isinstance(taken, Abstention)
        assert (Abstention(5, "broken", upstream="u"), {"broken": 1.0}) == (
            replace(taken, detail=b""),
            near.counted,
        )
        assert taken.detail


@pytest.mark.parametrize("code", [200, 500])
async def test_an_answer_over_the_bound_is_given_up(code: int) -> None:
    """An answer without an end, good or bad, is given up at the bound, and its upstream sees the socket close."""
    head = b"HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n" % code
    async with open_raw(hanging(head + b"10000\r\n" + b" " * 65536 + b"\r\n")) as raw, desk(raw.url) as near:
        taken = await near.take(bounds=BOUNDS._replace(max_answer=65535))
        assert isinstance(taken, Abstention)
        assert "broken" == taken.reason
        await raw.connections[0].left.wait()


async def test_unreachable() -> None:
    """An upstream to which nobody can connect is an Abstention, and down until it answers."""
    async with desk(f"http://127.0.0.1:{free_port()}") as near:
        taken = await near.take(5)
        assert isinstance(taken, Abstention)
        assert Abstention(5, "unreachable", upstream="u") == replace(taken, detail=b"")
        assert ({"unreachable": 1.0}, False, 0.0) == (
            near.counted,
            near.upstream.is_up,
            near.metric("scg_upstream_up"),
        )


async def test_one_that_breaks_is_not_down() -> None:
    """An upstream that breaks one call is not taken for down."""
    async with open_raw(breaking(b"")) as raw, desk(raw.url) as near:
        await near.take()
        assert near.upstream.is_up


async def test_silence() -> None:
    """An upstream that does not answer within the first-byte time-out is an Abstention called timeout."""
    timeouts = Timeouts(connect=30, first_byte=0.05, idle=30)
    async with open_raw(hanging()) as raw, desk(raw.url, timeouts) as near:
        taken = await near.take(5)
        assert isinstance(taken, Abstention)
        assert (Abstention(5, "timeout", upstream="u"), {"timeout": 1.0}) == (
            replace(taken, detail=b""),
            near.counted,
        )
        await (await raw.connection(0)).left.wait()


@pytest.mark.parametrize("play", [hanging(), dripping()], ids=["hangs", "drips"])
async def test_the_whole_takes_too_long(play: Play) -> None:
    """A sample that is not whole within its total is an Abstention, and its upstream sees the socket close."""
    async with open_raw(play) as raw, desk(raw.url) as near:
        taken = await near.take(5, bounds=BOUNDS._replace(total=0.2, max_answer=1 << 40))
        assert Abstention(5, "timeout", detail=b"no whole answer within 0.2 s", upstream="u") == taken
        await (await raw.connection(0)).left.wait()


# Slots and cancelling.


async def test_no_slot_in_time() -> None:
    """A sample for which no slot comes free in time is a 429 that may be tried again; nothing was sent."""
    expected = Abstention(5, "queue", 429, b"", (("retry-after", "1"),), "u")
    async with open_upstream() as far, desk(far.url, slots=Slots(1)) as near:
        await near.slots.take(0)
        assert (expected, []) == (await near.take(5, bounds=BOUNDS._replace(patience=0)), far.seen)
    async with open_upstream() as far, desk(far.url, slots=Slots(1), max_in_flight=1) as near:
        await near.upstream.slots.take(0)
        assert (expected, []) == (await near.take(5, bounds=BOUNDS._replace(patience=0)), far.seen)
        assert await near.slots.take(0)


async def test_one_at_a_time() -> None:
    """Of an upstream with `max_in_flight: 1` one sample is asked after the other."""
    async with open_upstream("a", "b", "c") as far, desk(far.url, max_in_flight=1) as near:
        far.gates = {number: asyncio.Event() for number in range(3)}
        taking = [asyncio.create_task(near.take(index)) for index in range(3)]
        for number in range(3):
            await far.asked(number + 1)
            assert (number + 1, 2 - number) == (len(far.seen), near.upstream.slots.waiting)
            far.gates[number].set()
        taken = await asyncio.gather(*taking)
        assert ["a", "b", "c"] == [sample.reply.content for sample in taken if isinstance(sample, Sample)]


async def _hang(far: doubles.Upstream, near: Desk) -> None:
    """Cancel one sample while its upstream works on it."""
    taking = asyncio.create_task(near.take())
    await far.asked(1)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    await far.seen[0].closed.wait()


async def _queue(far: doubles.Upstream, near: Desk) -> None:
    """Cancel one sample while it waits for the upstream."""
    await near.upstream.slots.take(0)
    taking = asyncio.create_task(near.take())
    for _ in range(10):
        await asyncio.sleep(0)
    assert 1 == near.upstream.slots.waiting
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    near.upstream.slots.give()
    assert [] == far.seen


@pytest.mark.parametrize("cancel", [_hang, _queue])
async def test_cancelling_gives_everything_back(cancel: Callable[[doubles.Upstream, Desk], Any]) -> None:
    """A sample that is cancelled, at work or in line, closes its socket and leaves its slots to others."""
    async with open_upstream(HANG) as far, desk(far.url, slots=Slots(1), max_in_flight=1) as near:
        await cancel(far, near)
        assert (True, True) == (await near.slots.take(0), await near.upstream.slots.take(0))
        assert 0.0 == near.metric("scg_upstream_in_flight")
        assert near.counted in ({"cancelled": 1.0}, {})


@pytest.mark.parametrize("scripted", ["42", 500, HTML, HALF, RESET])
async def test_every_end_gives_the_slots_back(scripted: doubles.Answer) -> None:
    """However a sample ends, its slots are free again."""
    async with open_upstream(scripted) as far, desk(far.url, slots=Slots(1), max_in_flight=1) as near:
        for _ in range(3):
            await near.take()
        assert (True, True) == (await near.slots.take(0), await near.upstream.slots.take(0))
