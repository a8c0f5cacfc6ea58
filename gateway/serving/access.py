"""Who may do what only an operator should: the bearer of an admin key, or without keys whoever is on this machine."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from gateway.door.request import Request
from gateway.errors import Forbidden
from gateway.serving.trace import Trace

_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def require_admin(request: Request, trace: Trace) -> None:
    """Forbidden to everybody else.

    On this machine means: no proxy in between, and no page of another site in the user's browser.
    """
    if trace.key is not None:
        if not trace.key.admin:
            raise Forbidden(f"{request.path} takes a key with `admin: true`; {trace.key.name} is none")
    elif not (_is_loopback(request.remote) and _is_direct(request) and _is_local_origin(request)):
        raise Forbidden(f"{request.path} is for this machine only: call it on 127.0.0.1, not through a proxy")


def _is_loopback(remote: str) -> bool:
    try:
        return ip_address(remote).is_loopback
    except ValueError:
        return False


def _is_direct(request: Request) -> bool:
    return not any(name in request.headers for name in _FORWARDED) and _host(f"//{request.host}") in _LOCAL


def _is_local_origin(request: Request) -> bool:
    origin = request.headers.get("origin")
    return origin is None or _host(origin) in _LOCAL


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
