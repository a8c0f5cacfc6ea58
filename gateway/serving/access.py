"""Who may do what only an operator should."""

from ipaddress import ip_address

from aiohttp import web
from yarl import URL

from gateway.errors import Forbidden

_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def require_admin(request: web.BaseRequest) -> None:
    """Loopback only: no proxy in between, and no page of another site in the user's browser."""
    if not (_is_loopback(request.remote) and _is_direct(request) and _is_local_origin(request)):
        raise Forbidden(f"{request.path} is for this machine only: call it on 127.0.0.1, not through a proxy")


def _is_loopback(remote: str | None) -> bool:
    try:
        return remote is not None and ip_address(remote).is_loopback
    except ValueError:
        return False


def _is_direct(request: web.BaseRequest) -> bool:
    return not any(name in request.headers for name in _FORWARDED) and request.url.host in _LOCAL


def _is_local_origin(request: web.BaseRequest) -> bool:
    origin = request.headers.get("origin")
    try:
        return origin is None or URL(origin).host in _LOCAL
    except ValueError:
        return False
