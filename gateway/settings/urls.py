"""The URLs of upstreams and of the cache."""

import re
from urllib.parse import SplitResult, urlsplit

from gateway.settings.spelling import LATER


def _split(value: str, wanted: str) -> SplitResult:
    """Raise ValueError if it cannot be taken apart; `urlsplit` finds a bad port only when asked for it."""
    try:
        parts = urlsplit(value)
        if parts.hostname and (parts.port is None or parts.port):
            return parts
    except ValueError as error:
        raise ValueError(wanted) from error
    raise ValueError(wanted)


def parse_upstream_url(value: object) -> str:
    """Without `/v1` and a last slash; ValueError if it is none, or has credentials in it."""
    wanted = "expected a url like http://host:8000"
    if not isinstance(value, str) or not value.isprintable() or " " in value.strip():
        raise ValueError(wanted)
    parts = _split(value.strip(), wanted)
    if parts.scheme not in {"http", "https"}:
        raise ValueError(wanted)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError(f"{wanted}, without user, password or query; credentials go into api_key or headers")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1').rstrip('/')}"


def parse_cache_url(value: object) -> str:
    """As given; ValueError if nothing can be opened there."""
    wanted = "expected memory://, redis://host:6379/0 or rediss://host:6379/0"
    if not isinstance(value, str):
        raise ValueError(wanted)  # noqa: TRY004  a ValueError is what becomes a line for the user
    scheme, separator, rest = value.strip().partition("://")
    if scheme in {"redis+sentinel", "redis+cluster"} and separator:
        raise ValueError(f"{scheme}:// {LATER}; use memory://, redis:// or rediss://")
    if scheme == "memory" and separator and not rest:
        return "memory://"
    if scheme not in {"redis", "rediss"} or not re.fullmatch(r"/?|/\d+", _split(value.strip(), wanted).path):
        raise ValueError(wanted)
    return value.strip()
