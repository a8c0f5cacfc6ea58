"""Durations and sizes as people write them."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.units import format_duration, parse_duration, parse_size

quickly = settings(max_examples=100)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("250 ms", 0.25),
        ("30s", 30.0),
        (" 30s ", 30.0),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("7d", 604800.0),
        ("0s", 0.0),
        ("30", 30.0),
        (30, 30.0),
        (0, 0.0),
        (0.25, 0.25),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    """A duration is a number with a unit, or a plain number of seconds."""
    assert seconds == parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512", 512),
        (512, 512),
        ("512B", 512),
        ("1kB", 1000),
        ("1KiB", 1024),
        ("64MiB", 64 << 20),
        ("1.5MiB", 3 << 19),
        ("1 GB", 10**9),
        ("2GiB", 2 << 30),
        (0, 0),
    ],
)
def test_sizes(text: object, size: int) -> None:
    """A size is a number of bytes, or one with a binary or decimal unit."""
    assert size == parse_size(text)
    assert isinstance(parse_size(text), int)


NO_QUANTITY = [
    "", " ", "s", "ms", "-1s", "+1s", "1 2s", "1,5s", "1e3s", "5 parsecs", "1S", "nan", "inf", ".5s",
    -1, -0.5, float("nan"), float("inf"), 10**400, "9" * 400, True, False, None, [], {}, b"1s",
]  # fmt: skip


@pytest.mark.parametrize(
    "value", [*NO_QUANTITY, "64MiB", "9" * 400 + "d"], ids=lambda value: repr(value)[:12]
)
def test_no_duration(value: object) -> None:
    """Anything else is a ValueError that shows how a duration is written."""
    with pytest.raises(ValueError, match=r"^expected a duration like 500ms, 30s, 5m, 1h or 7d$"):
        parse_duration(value)


@pytest.mark.parametrize(
    "value", [*NO_QUANTITY, "30s", "64mib", "9" * 400 + "GB"], ids=lambda v: repr(v)[:12]
)
def test_no_size(value: object) -> None:
    """Anything else is a ValueError that shows how a size is written."""
    with pytest.raises(ValueError, match=r"^expected a size like 512, 64MiB or 1GB$"):
        parse_size(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0, "0s"),
        (0.25, "250ms"),
        (1, "1s"),
        (1.001, "1001ms"),  # times 1000 it is 1000.9999999999999
        (1.5, "1500ms"),
        (90, "90s"),
        (120, "2m"),
        (3600, "1h"),
        (5400, "90m"),
        (86400, "1d"),
        (604800, "7d"),
        (100 * 86400 + 1, "8640001s"),
    ],
)
def test_duration_as_text(seconds: float, text: str) -> None:
    """A duration is written in the largest unit that spells it exactly."""
    assert text == format_duration(seconds)


@quickly
@given(milliseconds=st.integers(0, 10**10))
def test_a_written_duration_reads_as_itself(milliseconds: int) -> None:
    """Any whole number of milliseconds survives being written and read."""
    read = parse_duration(format_duration(milliseconds / 1000))
    assert milliseconds == round(read * 1000)


@quickly
@given(value=st.one_of(st.text(max_size=12), st.floats(), st.integers(), st.booleans(), st.none()))
def test_whatever_comes_is_a_quantity_or_a_value_error(value: object) -> None:
    """No value of configuration makes the parsers fail in another way, or gives less than nothing."""
    for parse in (parse_duration, parse_size):
        with suppress(ValueError):
            assert parse(value) >= 0
