"""How fast: on a clock of the test's own."""

import pytest

from gateway.calling.pace import Pace, Spent


class Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def pace(rate: float | None, burst: int = 1, most: int | None = None) -> tuple[Pace, Clock]:
    clock = Clock()
    return Pace(rate, burst, most, clock=clock, sleep=clock.sleep), clock


@pytest.mark.parametrize(
    ("rate", "burst", "groups", "seconds"),
    [
        (2.0, 1, [1] * 11, 5.0),
        (2.0, 4, [4, 4, 4], 4.0),
        (4.0, 16, [1] * 16, 0.0),
        (4.0, 16, [1] * 24, 2.0),
        (4.0, 2, [6], 1.0),
        (None, 1, [1] * 1000, 0.0),
    ],
)
async def test_the_rate_is_kept(rate: float | None, burst: int, groups: list[int], seconds: float) -> None:
    """After a burst, so many a second; what is sent at once is waited for as a whole."""
    bounded, clock = pace(rate, burst)
    for number in groups:
        await bounded.take(number)
    assert pytest.approx(seconds) == clock.now - 100


async def test_a_busy_server_is_left_alone() -> None:
    """Nothing is sent during a pause, and the longest of several holds."""
    bounded, clock = pace(None)
    bounded.pause(5)
    bounded.pause(2)
    await bounded.take()
    assert pytest.approx(105) == clock.now
    assert pytest.approx(5) == bounded.waited


async def test_there_is_an_end() -> None:
    """Of a group that would go over the bound not even a part is sent."""
    bounded, _ = pace(None, most=5)
    await bounded.take(4)
    with pytest.raises(Spent):
        await bounded.take(2)
    await bounded.take(1)
    assert 5 == bounded.sent
