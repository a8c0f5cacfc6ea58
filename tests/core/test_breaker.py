"""A circuit breaker: when it opens, whom it lets through, what closes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.breaker import CLOSED, HALF_OPEN, OPEN, Breaker

COOLDOWN = 10.0


def breaker(failures: int = 3) -> Breaker:
    return Breaker(failures, COOLDOWN)


def after(outcomes: str, failures: int = 3) -> Breaker:
    """A breaker after these calls, one after the other at 0 s: f failed, s succeeded."""
    made = breaker(failures)
    for outcome in outcomes:
        call(made, outcome)
    return made


def call(made: Breaker, outcome: str, now: float = 0.0) -> None:
    end(made, made.begin(), outcome, now)


def end(made: Breaker, ticket: int, outcome: str, now: float) -> None:
    if outcome == "f":
        made.failed(ticket, now)
    elif outcome == "s":
        made.succeeded(ticket)
    else:
        made.gave_up(ticket)


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("", CLOSED),
        ("ff", CLOSED),
        ("fff", OPEN),
        ("ffsff", CLOSED),
        ("ffsfff", OPEN),
        ("ff" + "s" * 11 + "ff", CLOSED),
        ("fs" * 5, CLOSED),
        ("fs" * 5 + "f", OPEN),  # half of the latest twelve
        ("ssf" * 100, CLOSED),  # a third of them
        ("xxxfxf", CLOSED),
        ("fxfxf", OPEN),  # who leaves says nothing, good or bad
    ],
)
def test_when_it_opens(outcomes: str, state: int) -> None:
    """Three failures in a row open it, or six among the latest twelve."""
    assert state == after(outcomes).state(0.0)


@pytest.mark.parametrize(
    ("now", "state", "lets_through"),
    [(0.0, OPEN, False), (9.9, OPEN, False), (10.0, HALF_OPEN, True), (1e9, HALF_OPEN, True)],
)
def test_the_cooldown(now: float, state: int, lets_through: bool) -> None:  # noqa: FBT001
    """Nobody is let through before the cooldown is over, and then one is."""
    made = after("fff")
    assert (state, lets_through) == (made.state(now), made.lets_through(now))


def test_one_trial_at_a_time() -> None:
    """While one call is on trial no other is let through; one that is given up makes room for the next."""
    made = after("fff")
    first = made.begin()
    assert (True, False) == (made.is_on_trial, made.lets_through(20.0))
    made.gave_up(first)
    assert (False, True) == (made.is_on_trial, made.lets_through(20.0))
    second = made.begin()
    assert made.succeeded(second)
    assert (CLOSED, True) == (made.state(20.0), made.lets_through(20.0))


def test_a_failed_trial_doubles_the_cooldown() -> None:
    """Each opening without a quiet time doubles the cooldown, up to sixteen times, and jitter adds up to half."""
    made, now, lengths = after("fff"), 0.0, []
    for _ in range(7):
        lengths.append(made.ends - now)
        now = made.ends
        assert made.failed(made.begin(), now)
    assert [10, 20, 40, 80, 160, 160, 160] == lengths
    jittered = breaker()
    for _ in range(3):
        jittered.failed(jittered.begin(), 0.0, 0.5)
    assert 12.5 == jittered.ends


def test_a_quiet_time_forgets_the_openings() -> None:
    """As many successes as failures open it make the next cooldown the first one again; fewer do not."""
    for successes, length in ((2, 20.0), (3, 10.0)):
        made = after("fff")
        call(made, "s", 10.0)
        for outcome in "s" * successes + "fff":
            call(made, outcome, 10.0)
        assert length == made.ends - 10.0


def test_what_began_before_does_not_count() -> None:
    """A call from before the breaker opened neither closes it nor lengthens its cooldown, however it ends."""
    made = breaker()
    old = [made.begin() for _ in range(3)]
    for _ in range(3):
        call(made, "f")
    assert not made.succeeded(old[0])
    assert not made.failed(old[1], 5.0)
    made.gave_up(old[2])
    assert (OPEN, 10.0, False) == (made.state(5.0), made.ends, made.is_on_trial)


def test_the_last_one_is_asked_all_the_same() -> None:
    """A call that is made during the cooldown, for want of another server, closes it by its success only."""
    made = after("fff")
    call(made, "f", 5.0)
    assert (OPEN, 10.0) == (made.state(5.0), made.ends)
    call(made, "s", 6.0)
    assert CLOSED == made.state(6.0)


STEPS = st.sampled_from(["begin", "s", "f", "x", "wait"])
steps = st.lists(st.tuples(STEPS, st.integers(0, 30)), max_size=60)


@given(steps, st.integers(1, 4))
def test_whatever_happens(steps: list[tuple[str, int]], failures: int) -> None:
    """In any order of calls: no two on trial, never open for longer than 24 cooldowns, and closed by a success."""
    made, now, let_through = breaker(failures), 0.0, list[int]()
    for step, number in steps:
        if step == "wait":
            now += number
        elif step == "begin":
            if made.lets_through(now):
                let_through.append(made.begin())
        elif let_through:
            ticket = let_through.pop(number % len(let_through))
            was_closed, is_current = made.is_closed, ticket == made.epoch
            end(made, ticket, step, now)
            if step == "s" and is_current:
                assert made.is_closed
            assert made.is_closed or not was_closed or step == "f"
        on_trial = [ticket for ticket in let_through if ticket == made.epoch and not made.is_closed]
        assert made.is_on_trial == bool(on_trial)
        assert len(on_trial) <= 1
        assert made.ends <= now + 24 * COOLDOWN
        assert made.is_on_trial or made.lets_through(max(now, made.ends))
