"""A port that several processes are going to share."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


@contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """The port, on all addresses of the host, kept until others listen there; OSError if somebody does already.

    With SO_REUSEPORT nobody is told of others who have it too, so a bind without it comes first.
    """
    with ExitStack() as places:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found:
            at = (address[0], port, *address[2:])
            with socket.socket(family, kind, protocol) as probe:
                _bind(probe, at, socket.SO_REUSEADDR)
            place = places.enter_context(socket.socket(family, kind, protocol))
            _bind(place, at, socket.SO_REUSEADDR, socket.SO_REUSEPORT)
            port = place.getsockname()[1]
        yield port


def _bind(to_bind: socket.socket, address: tuple[Any, ...], *options: int) -> None:
    for option in options:
        to_bind.setsockopt(socket.SOL_SOCKET, option, 1)
    if to_bind.family == socket.AF_INET6:  # as servers do, so that IPv4 can have the port, too
        to_bind.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    to_bind.bind(address)
