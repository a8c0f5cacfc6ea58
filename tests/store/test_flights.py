"""Flights: many ask, one vote runs; it lives as long as anybody waits."""

import asyncio
import gc
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.store.flights import Flight, Flights
from tests.doubles.waiting import until


@dataclass
class Vote:
    """A vote that ends when the test says so, and counts how often it was run and cancelled."""

    verdict: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    runs: int = 0
    cancelled: int = 0
    cleaned: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.cleaned.set()

    async def run(self, _: Flight[str]) -> str:
        self.runs += 1
        try:
            return await asyncio.shield(self.verdict)
        except asyncio.CancelledError:
            self.cancelled += 1
            await self.cleaned.wait()
            raise

    @property
    def told(self) -> tuple[int, int]:
        """How often it ran, and how often it was cancelled."""
        return self.runs, self.cancelled


@dataclass
class Airport:
    """Flights, and the one vote that all of them are about."""

    flights: Flights[str] = field(default_factory=Flights)
    vote: Vote = field(default_factory=Vote)

    def board(self, key: str = "key") -> Flight[str]:
        """What a request does: take the flight that is there, or start one."""
        return self.flights.find(key) or self.flights.start(key, self.vote.run)

    def wait(self, key: str = "key") -> asyncio.Task[str]:
        """A request that waits for the verdict."""
        return asyncio.ensure_future(self.board(key).landed())


@pytest.fixture
async def airport() -> Airport:
    return Airport()


async def turn() -> None:
    """Let everything that is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_who_ask_at_once_share_one_vote(airport: Airport) -> None:
    """A hundred concurrent requests run one vote, and all get what it said."""
    waiting = [airport.wait() for _ in range(100)]
    await turn()
    airport.vote.verdict.set_result("42")
    assert ["42"] * 100 == await asyncio.gather(*waiting)
    assert (1, 0) == airport.vote.told


async def test_keys_do_not_share(airport: Airport) -> None:
    """Requests of different keys each run a vote."""
    waiting = [airport.wait(key) for key in ("a", "b", "a")]
    await turn()
    assert (2, 2) == (airport.vote.runs, len(airport.flights))
    airport.vote.verdict.set_result("42")
    await asyncio.gather(*waiting)


async def test_a_landed_flight_is_gone(airport: Airport) -> None:
    """Who asks after the end starts a new vote."""
    airport.vote.verdict.set_result("42")
    assert "42" == await airport.wait()
    assert 0 == len(airport.flights)
    await airport.wait()
    assert (2, 0) == airport.vote.told


async def test_the_last_one_to_leave_cancels_the_vote(airport: Airport) -> None:
    """The vote runs on while anybody waits, and is cancelled when nobody does."""
    waiting = [airport.wait() for _ in range(3)]
    await turn()
    for left, expected in ((0, (1, 0)), (1, (1, 0)), (2, (1, 1))):
        waiting[left].cancel()
        await turn()
        assert expected == airport.vote.told
    assert 0 == len(airport.flights)


async def test_who_stays_gets_the_verdict(airport: Airport) -> None:
    """Those who left change nothing for the one who waits on."""
    waiting = [airport.wait() for _ in range(3)]
    await turn()
    waiting[0].cancel()
    waiting[2].cancel()
    await turn()
    airport.vote.verdict.set_result("42")
    assert "42" == await waiting[1]


async def test_who_comes_after_all_have_left_starts_anew(airport: Airport) -> None:
    """A vote that is being cancelled is no vote to wait for, however long it takes to end."""
    airport.vote.cleaned.clear()
    first = airport.wait()
    await turn()
    first.cancel()
    await turn()
    second = airport.wait()
    await turn()
    assert (2, 1) == airport.vote.told
    airport.vote.cleaned.set()
    await turn()
    assert 1 == len(airport.flights)  # the first flight's end does not take the second one off the list
    airport.vote.verdict.set_result("42")
    assert "42" == await second


async def test_who_has_boarded_is_not_left_behind(airport: Airport) -> None:
    """A request that has found the flight keeps it, though all others leave before it begins to wait."""
    first = airport.wait()
    await turn()
    seat = airport.board()
    first.cancel()
    await turn()
    assert (1, 0) == airport.vote.told
    second = asyncio.ensure_future(seat.landed())
    await turn()
    airport.vote.verdict.set_result("42")
    assert "42" == await second


async def test_who_started_the_flight_is_not_left_behind(airport: Airport) -> None:
    """A request that has started a flight keeps it, though one that joined leaves before it begins to wait."""
    seat = airport.board()
    joined = airport.wait()
    await turn()
    joined.cancel()
    await turn()
    airport.vote.verdict.set_result("42")
    assert "42" == await seat.landed()


async def test_a_failure_reaches_everybody(airport: Airport) -> None:
    """An exception is everybody's, and it is the same one."""
    waiting = [airport.wait() for _ in range(3)]
    await turn()
    failure = LookupError("no upstream")
    airport.vote.verdict.set_exception(failure)
    assert [failure] * 3 == await asyncio.gather(*waiting, return_exceptions=True)
    assert 0 == len(airport.flights)


@pytest.mark.parametrize("leaves", [False, True], ids=["nobody waited", "its waiter had left"])
async def test_a_failure_that_nobody_hears_is_no_alarm(leaves: bool) -> None:  # noqa: FBT001
    """A vote that fails after everybody has left is not reported as an exception never retrieved."""
    alarms: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, alarm: alarms.append(alarm))
    flights: Flights[str] = Flights()
    gate = asyncio.Event()

    async def fail(_: Flight[str]) -> str:
        try:
            await gate.wait()
        finally:
            raise LookupError

    flight = flights.start("key", fail)
    if leaves:
        waiting = asyncio.ensure_future(flight.landed())
        await turn()
        waiting.cancel()
    gate.set()
    await until(flight.task.done)
    await turn()
    del flight
    gc.collect()
    assert [] == alarms


async def test_a_flight_outside_the_list_is_cancelled_alike() -> None:
    """A flight that nobody can join ends with its only waiter."""
    vote = Vote()
    waiting = asyncio.ensure_future(Flight(vote.run).landed())
    await turn()
    waiting.cancel()
    await turn()
    assert (1, 1) == vote.told


async def test_a_vote_tells_its_waiters_its_news(airport: Airport) -> None:
    """What the vote tells on its flight, all who wait can hear."""
    heard: list[bytes] = []

    async def run(flight: Flight[str]) -> str:
        flight.news.tell(b"so far")
        return await airport.vote.run(flight)

    started = airport.flights.start("key", run)
    waiting = asyncio.ensure_future(started.landed())
    joined = airport.flights.find("key")
    assert joined is started
    await turn()
    joined.news.watch(heard.append)
    airport.vote.verdict.set_result("42")
    assert ("42", [b"so far"]) == (await waiting, heard)
