"""Who is told how a process is doing: systemd, by its notification protocol (sd_notify(3)), or nobody."""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from time import clock_gettime_ns
from typing import Protocol

_CLOCK_MONOTONIC = 1


class Herald(Protocol):
    """Is told of a process's states as it enters them."""

    def ready(self, status: str) -> None:
        """It serves; `status` is a line for people."""

    def reloading(self) -> None:
        """It reads its settings anew, and will say `ready` when it has, well or badly."""

    def stopping(self) -> None:
        """It is about to end."""


class Silent:
    """Tells nobody."""

    def ready(self, status: str) -> None:
        """Nobody."""

    def reloading(self) -> None:
        """Nobody."""

    def stopping(self) -> None:
        """Nobody."""


class Systemd:
    """Tells the service manager, by datagrams to the socket that it gave. One that cannot be reached is no error."""

    def __init__(self, address: str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def ready(self, status: str) -> None:
        """READY=1."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """RELOADING=1, and since when, as `Type=notify-reload` wants to know."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={clock_gettime_ns(_CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """STOPPING=1."""
        self._send("STOPPING=1", "STATUS=requests in flight end")

    def _send(self, *lines: str) -> None:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)  # noqa: FBT003  systemd reads at once; who does not must not hold the gateway
            line.sendto("\n".join(lines).encode(), self._address)


def find_herald(environ: MutableMapping[str, str] = os.environ) -> Herald:
    """Whom NOTIFY_SOCKET names. It is taken out of the environment: a child is not the service."""
    address = environ.pop("NOTIFY_SOCKET", "")
    return Systemd(address) if address else Silent()
