"""How settings are written for people: sizes, keys, guesses at what was meant, and secrets out of sight."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

MASK = "***"
# No settings: what commands show to a running gateway, its operator's and a client's.
ADMIN_KEY, CLIENT_KEY = "SCG_ADMIN_KEY", "SCG_API_KEY"

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)?(.*@)?([^?#]*)(.*)", re.DOTALL)
_HOST = r"([\w.-]*|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?"
_PLACE = re.compile(rf"{_HOST}(,{_HOST})*(/[\w./-]*)?")


def format_size(size: int) -> str:
    """The shortest exact spelling: `64MiB`, `1536KiB`, `1000B`."""
    for unit, length in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size and size % length == 0:
            return f"{size // length}{unit}"
    return f"{size}B"


def mask_url(url: str) -> str:
    """The URL without user, password and query; nothing of what looks like no host, port and path."""
    match = _URL.fullmatch(url)
    if match is None or not _PLACE.fullmatch(match[3]):
        return MASK
    scheme, credentials, place, query = match.groups("")
    return f"{scheme}{credentials and MASK + '@'}{place}{query and '?' + MASK}"


def spell_key(path: Iterable[str | int]) -> str:
    """A key as messages name it: `upstreams.0.url`."""
    return ".".join(str(part) for part in path)


def guess(wrong: str, known: Mapping[str, str]) -> str:
    """What to say of an unknown name: the one that was probably meant, else all; `known` has their spelling."""
    close = get_close_matches(wrong, known, n=1)
    if close:
        return f"did you mean {known[close[0]]}?"
    return f"known: {', '.join(sorted(known.values()))}" if known else ""
