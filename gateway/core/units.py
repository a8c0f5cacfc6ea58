"""Durations and sizes as people write them: `250ms`, `30s`, `7d`, `64MiB`."""

import re

_DURATIONS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_MOST = 1e18  # nobody means more, and further up floats overflow
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def parse_duration(value: object) -> float:
    """Seconds in `500ms`, `30s`, `5m`, `1h`, `7d` or a plain number of seconds; ValueError otherwise."""
    return _parse(value, _DURATIONS, "a duration like 500ms, 30s, 5m, 1h or 7d", bare=1.0)


def parse_size(value: object) -> int:
    """Bytes in `512`, `64MiB`, `1GB`; ValueError otherwise."""
    return int(_parse(value, _SIZES, "a size like 512, 64MiB or 1GB", bare=1))


def format_duration(seconds: float) -> str:
    """The shortest exact spelling: `7d`, `90s`, `250ms`."""
    milliseconds = round(seconds * 1000)
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % length == 0:
            return f"{milliseconds // length}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"


def _parse(value: object, units: dict[str, float] | dict[str, int], wanted: str, *, bare: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST:
        return value * bare
    match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or (match[2] and match[2] not in units):
        raise ValueError(f"expected {wanted}")
    quantity = float(match[1]) * (units[match[2]] if match[2] else bare)
    if quantity > _MOST:
        raise ValueError(f"expected {wanted}")
    return quantity
