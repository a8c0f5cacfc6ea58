"""Calls of which nothing is heard: which are given up for another replica, and which count against their upstream."""

import asyncio
from math import inf

import pytest
from prometheus_client import CollectorRegistry

from gateway.core.ballot import Abstention, Sample
from gateway.core.plan import Plan
from gateway.core.policy import PRESETS
from gateway.core.round import Launch
from gateway.settings.model import BreakerSettings, RetrySettings
from gateway.telemetry.metrics import Metrics
from gateway.upstream.pool import Pool
from gateway.upstream.retries import Retries
from gateway.upstream.sampling import Asked, Bounds, take_sample
from gateway.upstream.silence import Ear, Silence
from gateway.upstream.slots import Slots
from gateway.upstream.turns import LoneTurn
from gateway.wire.forms import completions as forms
from tests.doubles import upstream as doubles
from tests.doubles.upstream import HANG, Paced, open_upstream
from tests.upstream.pools import Clock, at, named, pool_of
from tests.upstream.raw_server import hanging, open_raw

# k=3, of which two are a quorum: it can do without two, one of which is replaced.
COLD = Plan(PRESETS["majority"], 1, greedy=True, question=b"")
WARM = Plan(PRESETS["majority"], 1, greedy=False, question=b"")
BOUNDS = Bounds(total=60, patience=60, max_answer=1 << 20, is_usual=True)
ONCE = Retries(RetrySettings(limit=0), Metrics(CollectorRegistry()))
EARLY = BreakerSettings(failures=1, cooldown=1.0)


async def take(pool: Pool, name: str, silence: Silence, lane: str = "fast") -> Sample | Abstention:
    """A sample of the round that this is the silence of, from this upstream."""
    asked = Asked(forms.CHAT, (), lambda _launch, _engine: b'{"model":"m"}', ONCE.allow(), silence)
    turn = LoneTurn(named(pool, name))
    return await take_sample(Launch(0, 1, lane), asked, turn, Slots(None), BOUNDS)


def counted(pool: Pool, name: str) -> dict[str, float]:
    """Calls to an upstream by result."""
    registry = named(pool, name)._metrics.registry
    found = [sample for metric in registry.collect() for sample in metric.samples]
    return {
        sample.labels["result"]: sample.value
        for sample in found
        if sample.name == "scg_upstream_requests_total" and sample.labels["upstream"] == name and sample.value
    }


async def cut_off(far: doubles.Upstream, pool: Pool, silence: Silence) -> dict[str, float]:
    """How the call counts that is cancelled while its upstream is silent."""
    taking = asyncio.create_task(take(pool, "a", silence))
    await far.asked(1)
    taking.cancel()
    await asyncio.wait({taking})
    assert taking.cancelled()
    return counted(pool, "a")


# What counts.


# How long a replica usually takes until it is heard, and when it was heard last: before a call begins, or since.
TINY, LONG, EARLIER, SINCE = 1e-6, 60.0, 0.0, inf


@pytest.mark.parametrize(
    ("half", "usual", "heard", "mate", "expected"),
    [
        (0.0, (TINY, EARLIER), 0.0, (TINY, SINCE), "timeout"),
        (
            0.0,
            None,
            0.0,
            (TINY, SINCE),
            "timeout",
        ),  # it has hung from the start on: what others take is usual
        (inf, None, 0.0, (TINY, SINCE), "cancelled"),  # it was not silent for 3 s
        (0.0, (LONG, EARLIER), 0.0, (TINY, SINCE), "cancelled"),  # that is usual there
        (0.0, None, LONG, (TINY, SINCE), "cancelled"),  # others of the round took as long
        (0.0, (TINY, SINCE), 0.0, (TINY, SINCE), "cancelled"),  # it lives
        (0.0, (TINY, EARLIER), 0.0, (TINY, EARLIER), "cancelled"),  # all may be slow
        (0.0, None, 0.0, None, "cancelled"),  # nobody knows what is usual
    ],
)
async def test_a_call_that_is_cut_off(
    half: float,
    usual: tuple[float, float] | None,
    heard: float,
    mate: tuple[float, float] | None,
    expected: str,
) -> None:
    """It counts as a time-out where a mute replica was silent for much longer than usual, while others were heard."""
    async with (
        open_upstream(HANG) as far,
        pool_of(at(far.url), at(far.url, name="b"), breaker=EARLY) as pool,
    ):
        for upstream, noted in zip(pool.upstreams, (usual, mate), strict=True):
            if noted is not None:
                upstream.usual.note("plain", *noted)
        silence = Silence(COLD, half=half, pool=pool.upstreams)
        silence.note("b", heard)
        assert {expected: 1.0} == await cut_off(far, pool, silence)
        assert (expected == "cancelled") is pool.upstreams[0].breaker.is_closed


async def test_a_deadline_that_passes() -> None:
    """A call counts that was silent for half of a deadline, whatever is usual; a later one does not."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0) as deadline:
            await asyncio.sleep(60)
    for half, expected in ((0.0, "timeout"), (59.0, "cancelled")):
        async with open_upstream(HANG) as far, pool_of(at(far.url)) as pool:
            pool.upstreams[0].usual.note("plain", 60.0, EARLIER)
            assert {expected: 1.0} == await cut_off(far, pool, Silence(COLD, deadline, half))


async def test_a_stream_is_heard_with_its_first_piece() -> None:
    """A stream that is cut off after a piece of it counts for nothing, and its upstream's usual is known."""
    paced = Paced("42", letters=1)
    async with open_upstream(paced) as far, pool_of(at(far.url)) as pool:
        heard = asyncio.Event()
        taking = asyncio.create_task(take_stream(pool, heard))
        await heard.wait()
        taking.cancel()
        await asyncio.wait({taking})
        paced.go.set()
        assert {"cancelled": 1.0} == counted(pool, "a")
        assert 0 < pool.upstreams[0].usual.of("streamed")


async def take_stream(pool: Pool, heard: asyncio.Event) -> None:
    """A streamed sample; when it is heard."""
    body = b'{"model":"m","messages":[],"stream":true}'
    silence = Silence(COLD, half=0.0, pool=pool.upstreams, streamed=True)
    asked = Asked(forms.CHAT, (), lambda _launch, _engine: body, ONCE.allow(), silence)
    turn = LoneTurn(pool.upstreams[0])
    await take_sample(Launch(0, 1), asked, turn, Slots(None), BOUNDS, lambda _index, _piece: heard.set())


async def test_the_head_of_a_stream_is_no_answer() -> None:
    """A server that sends the head of a stream before it begins may hang all the same."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with open_raw(hanging(head)) as raw, pool_of(at(raw.url), at(raw.url, name="b")) as pool:
        pool.upstreams[1].usual.note("streamed", TINY, SINCE)
        taking = asyncio.create_task(take_stream(pool, asyncio.Event()))
        await (await raw.connection(0)).asked.wait()
        for _ in range(100):  # let the head come in; with or without it nothing was heard
            await asyncio.sleep(0)
        taking.cancel()
        await asyncio.wait({taking})
        assert {"timeout": 1.0} == counted(pool, "a")


# What is given up.


async def test_a_silent_replica_is_given_up_at_the_half() -> None:
    """Where another one was heard in the round, a silent one's sample is an abstention before the deadline."""
    async with open_upstream(HANG) as far, pool_of(at(far.url), breaker=EARLY) as pool:
        async with asyncio.timeout(60) as deadline:
            deadline.reschedule(asyncio.get_running_loop().time() + 2)
            silence = Silence(COLD, deadline, half=1, first_byte=60)
            silence.note("b", 0.01)
            taking = asyncio.create_task(take(pool, "a", silence))
            await far.asked(1)
            deadline.reschedule(
                asyncio.get_running_loop().time() + 60
            )  # no machine is too slow for this test
            taken = await taking
        assert isinstance(taken, Abstention)
        assert ("timeout", True) == (taken.reason, taken.detail.startswith(b"nothing heard within "))
        assert ({"timeout": 1.0}, False) == (counted(pool, "a"), pool.upstreams[0].breaker.is_closed)
        await far.seen[0].closed.wait()


@pytest.mark.parametrize(
    ("heard", "silent", "expected"),
    [
        ({}, 5.0, []),  # all may be slow
        ({"b": 1.0}, 5.0, ["a", "a"]),  # as many as the quorum can spare
        ({"b": 1.0}, 4.9, []),
        ({"b": 6.0}, 5.0, []),  # a replacement would come too late
        ({"b": 6.0, "c": 1.0}, 5.0, ["a", "a"]),
        ({"a": 1.0}, 5.0, []),
        ({"a": 1.0, "b": 1.0}, 5.0, []),  # it lives
    ],
)
def test_who_is_given_up_at_temperature_0(
    heard: dict[str, float], silent: float, expected: list[str]
) -> None:
    """Only a replica of which nothing was heard, when others were, in time for them, and no more than can be spared."""
    silence = Silence(COLD, half=5.0, first_byte=60)
    for name, seconds in heard.items():
        silence.note(name, seconds)
    given_up = [silence.gives_up("a", silent, 5.0, is_on_trial=False) for _ in range(4)]
    assert expected == ["a" for each in given_up if each]


def test_above_temperature_0_long_samples_are_waited_for() -> None:
    """They differ in length: without the long ones the short ones would win."""
    silence = Silence(WARM, half=5.0, first_byte=60)
    silence.note("b", 1.0)
    assert not silence.gives_up("a", 9.0, 5.0, is_on_trial=False)


async def test_who_is_mute() -> None:
    """Nobody whose answer is under way, as plain ones are after their head, nor who was heard by anybody since."""
    async with pool_of(at()) as pool:
        (upstream,) = pool.upstreams
        one, other = (Ear(Silence(COLD), upstream, began=5.0) for _ in range(2))
        assert one._is_mute
        one.is_heard = True
        assert [False, True] == [one._is_mute, other._is_mute]
        upstream.usual.note("streamed", 1.0, 5.1)
        assert not other._is_mute


def test_what_failed_is_not_spared_twice() -> None:
    """A sample that failed has used up its replacement: one less can be given up."""
    silence = Silence(COLD, half=5.0, first_byte=60)
    silence.note("b", 1.0)
    silence.lose()
    assert [True, False] == [silence.gives_up("a", 5.0, 5.0, is_on_trial=False) for _ in range(2)]


async def test_on_trial_a_silent_one_costs_no_request() -> None:
    """While its breaker is half-open a sample is given up after much longer than the others took, with no deadline."""
    clock = Clock()
    async with open_upstream(500, HANG) as far, pool_of(at(far.url), breaker=EARLY, clock=clock) as pool:
        silence = Silence(COLD, half=0.0)
        silence.note("b", 0.0001)
        assert "status" == getattr(await take(pool, "a", silence), "reason", "")
        clock.now += 2.0
        assert "timeout" == getattr(await take(pool, "a", silence), "reason", "")
        assert {"status": 1.0, "timeout": 1.0} == counted(pool, "a")


async def test_what_has_no_substitute_is_waited_for() -> None:
    """A reference sample about which a round has disagreed is not given up when one of the vote would be."""
    async with open_upstream(500, "42", HANG) as far, pool_of(at(far.url), breaker=EARLY) as pool:
        far.gates[1] = asyncio.Event()
        silence = Silence(COLD, half=0.0)
        silence.note("b", 0.0001)
        await take(pool, "a", silence)
        waiting = asyncio.create_task(take(pool, "a", silence, lane="reference"))
        await far.asked(2)
        assert "timeout" == getattr(await take(pool, "a", silence), "reason", "")
        assert not waiting.done()
        far.gates[1].set()
        assert isinstance(await waiting, Sample)
