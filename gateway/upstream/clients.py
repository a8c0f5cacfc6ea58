"""Which implementation of the seam speaks to an upstream."""

import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from gateway.settings.model import Timeouts
from gateway.upstream.client import Client
from gateway.upstream.http_client import HttpClient


def is_proxied(url: str) -> bool:
    """Whether `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` put a proxy between us and this URL."""
    parts = urlsplit(url)
    return parts.scheme in getproxies() and not proxy_bypass(parts.hostname or "")


def open_client(timeouts: Timeouts, ca_file: str | None, *, proxied: bool) -> Client:
    """The lean client, or aiohttp's where a proxy has to be spoken to."""
    tls = ssl.create_default_context(cafile=ca_file) if ca_file else None
    if not proxied:
        return HttpClient(timeouts, tls)
    from gateway.upstream.aiohttp_client import AiohttpClient

    return AiohttpClient(timeouts, tls, trust_env=True)
