"""What the tests of upstreams share."""

import asyncio
import ssl
from collections.abc import Callable, Mapping

import pytest
import uvloop

from tests.doubles.certificates import make_certificates


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The client runs under both loops: the gateway has uvloop where there is one, and failures differ."""
    if item.path.name in {"test_client.py", "test_pour.py"}:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """A server's side of TLS for 127.0.0.1, and the file of the private authority that vouches for it."""
    folder = tmp_path_factory.mktemp("tls")
    authority = make_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, str(authority)
