"""A bound on what runs at once: fair, and no slot is ever lost."""

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.upstream.slots import Slots

FOR_EVER = 1e6


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def free_slots(slots: Slots, most: int) -> int:
    """How many slots are free, found by taking them all and giving them back."""
    taken = 0
    while taken < most and await slots.take(0):
        taken += 1
    for _ in range(taken):
        slots.give()
    return taken


async def test_no_limit() -> None:
    """Without a limit everyone has a slot at once, and giving them back changes nothing."""
    slots = Slots(None)
    assert [True] * 100 == [await slots.take(0) for _ in range(100)]
    slots.give()
    assert (True, 0) == (await slots.take(0), slots.waiting)


@pytest.mark.parametrize("limit", [1, 2, 10])
async def test_the_limit(limit: int) -> None:
    """As many slots are there as the limit says; the next one waits until one is given back."""
    slots = Slots(limit)
    assert [True] * limit + [False] == [await slots.take(0) for _ in range(limit + 1)]
    waiter = asyncio.create_task(slots.take(FOR_EVER))
    await settle()
    assert (False, 1) == (waiter.done(), slots.waiting)
    slots.give()
    assert (True, 0) == (await waiter, slots.waiting)


async def test_first_come_first_served() -> None:
    """Slots go to those who wait in the order in which they came, and nobody overtakes them."""
    slots = Slots(1)
    await slots.take(0)
    served: list[int] = []

    async def wait(number: int) -> None:
        await slots.take(FOR_EVER)
        served.append(number)

    waiters = [asyncio.create_task(wait(number)) for number in range(5)]
    await settle()
    for number in range(5):
        slots.give()
        assert not await slots.take(0)  # the slot is already somebody's
        await settle()
        assert [*range(number + 1)] == served
    await asyncio.gather(*waiters)


async def test_the_background_waits_for_everybody_else() -> None:
    """Whoever waits in the foreground is served before the background, though it came earlier."""
    slots = Slots(1)
    await slots.take(0)
    served: list[str] = []

    async def wait(name: str, *, background: bool) -> None:
        await slots.take(FOR_EVER, background=background)
        served.append(name)

    waiters = [asyncio.create_task(wait("background", background=True))]
    await settle()
    waiters += [asyncio.create_task(wait(f"foreground {number}", background=False)) for number in range(2)]
    await settle()
    assert 3 == slots.waiting
    for _ in waiters:
        slots.give()
        await settle()
    assert ["foreground 0", "foreground 1", "background"] == served
    await asyncio.gather(*waiters)


async def test_a_cancelled_waiter_leaves_the_line() -> None:
    """One who is cancelled while waiting gives up the place; the next in line has the slot."""
    slots = Slots(1)
    await slots.take(0)
    first, second = (asyncio.create_task(slots.take(FOR_EVER)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    assert (True, 1) == (first.cancelled(), slots.waiting)
    slots.give()
    assert await second
    slots.give()
    assert 1 == await free_slots(slots, 3)


@pytest.mark.parametrize("given_first", [True, False])
async def test_a_slot_given_in_the_moment_of_cancelling_goes_to_the_next(*, given_first: bool) -> None:
    """Cancelling and handing over in one moment, in either order, loses no slot."""
    slots = Slots(1)
    await slots.take(0)
    first, second = (asyncio.create_task(slots.take(FOR_EVER)) for _ in range(2))
    await settle()
    if given_first:
        slots.give()
        first.cancel()
    else:
        first.cancel()
        slots.give()
    assert await second
    assert first.cancelled()
    slots.give()
    assert 1 == await free_slots(slots, 3)


@pytest.mark.parametrize("given_first", [True, False])
async def test_a_slot_given_in_the_moment_of_the_time_out_is_kept_or_free(*, given_first: bool) -> None:
    """Time-out and handing over in one turn of the loop, in either order, lose no slot: whoever is told that
    there is one has it.
    """
    slots = Slots(1)
    await slots.take(0)
    loop = asyncio.get_running_loop()
    before = loop.time()
    waiter = asyncio.create_task(slots.take(0.02))
    await asyncio.sleep(0)  # it waits
    time.sleep(0.03)  # noqa: ASYNC251  its time is over when the loop turns next
    loop.call_at(before if given_first else loop.time(), slots.give)  # what was due first comes first
    assert given_first == await waiter
    await settle()
    assert (0 if given_first else 1) == await free_slots(slots, 3)


async def test_one_whose_patience_ends_leaves_the_line() -> None:
    """One whose patience ends is told so, and the slot goes to the next."""
    slots = Slots(1)
    await slots.take(0)
    patient = asyncio.create_task(slots.take(FOR_EVER))
    await settle()
    assert (False, 1) == (await slots.take(0), slots.waiting)
    slots.give()
    assert await patient


# Schedules: what may happen, one after the other or in the same turn of the loop.
steps = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "try", "give", "give", "cancel", "turn", "turn"]), st.integers(0, 99)
    ),
    max_size=40,
)


@settings(max_examples=200)
@given(st.integers(1, 3), steps)
async def test_no_schedule_loses_a_slot(limit: int, schedule: list[tuple[str, int]]) -> None:
    """Whoever takes, waits, gives up, is cancelled or gives back, in whatever order: never more than the limit
    hold a slot, nobody waits while one is free, and in the end all are free.
    """
    slots, holding, leave = Slots(limit), set[int](), dict[int, asyncio.Event]()
    tasks: dict[int, asyncio.Task[None]] = {}

    async def hold(number: int, patience: float) -> None:
        if await slots.take(patience, tenant="ab"[number % 2]):
            holding.add(number)
            assert len(holding) <= limit
            try:
                await leave[number].wait()
            finally:
                holding.remove(number)
                slots.give()

    for number, (step, choice) in enumerate(schedule):
        alive = [each for each, task in tasks.items() if not task.done()]
        if step in {"take", "try"}:
            leave[number] = asyncio.Event()
            tasks[number] = asyncio.create_task(hold(number, FOR_EVER if step == "take" else 0))
        elif step == "turn":
            await asyncio.sleep(0)
        elif alive and step == "cancel":
            tasks[alive[choice % len(alive)]].cancel()
        elif alive:
            leave[alive[choice % len(alive)]].set()
    await settle()
    assert slots.waiting == 0 or len(holding) == limit
    for number, task in tasks.items():
        leave[number].set()
        if number % 2:
            task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    assert (limit, 0) == (await free_slots(slots, limit + 1), slots.waiting)


async def test_tenants_are_served_in_turn() -> None:
    """One tenant with a thousand in line delays another by one slot, and each one's own come in their order."""
    slots, served = Slots(1), list[str]()
    await slots.take(0)

    async def wait(tenant: str, number: int) -> None:
        await slots.take(FOR_EVER, tenant=tenant)
        served.append(f"{tenant}{number}")

    waiters = [asyncio.create_task(wait("a", number)) for number in range(1000)]
    await settle()
    waiters += [asyncio.create_task(wait(*each)) for each in (("b", 0), ("b", 1), ("c", 0))]
    await settle()
    for _ in waiters:
        slots.give()
        await settle()
    assert ["a0", "b0", "c0", "a1", "b1", "a2", "a3"] == served[:7]
    assert [f"a{number}" for number in range(1000)] == [each for each in served if each[0] == "a"]


async def test_one_that_left_costs_its_tenant_no_turn() -> None:
    """A waiter that is cancelled in the moment of its turn leaves the turn to the next one of its tenant."""
    slots = Slots(1)
    await slots.take(0)
    gone, kept = (asyncio.create_task(slots.take(FOR_EVER, tenant="a")) for _ in range(2))
    await settle()
    other = asyncio.create_task(slots.take(FOR_EVER, tenant="b"))
    await settle()
    gone.cancel()
    slots.give()
    await settle()
    assert (True, False) == (kept.done(), other.done())
    slots.give()
    assert await other
    slots.give()
    assert (1, 0) == (await free_slots(slots, 3), slots.waiting)
