"""The URLs of upstreams and of the cache."""

from urllib.parse import SplitResult, urlsplit

from gateway.settings.cache_url import WANTED, read_cache_url


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
    if not isinstance(value, str):
        raise ValueError(WANTED)  # noqa: TRY004  a ValueError is what becomes a line for the user
    return "memory://" if read_cache_url(value).kind == "memory" else value.strip()
