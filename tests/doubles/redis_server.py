"""A real redis-server on a free port, that a test may kill, stop and bring back."""

import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from redis import Redis


class RedisServer:
    """One redis-server process without persistence; `options` are its configuration's, and more of it."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.folder = folder
        self.port = free_port()
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = {"port": self.port, "bind": "127.0.0.1", "save": "", "dir": self.folder} | self.options
        given = [
            f"{word}" for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value)
        ]
        self.launch(["redis-server", *given])

    def launch(self, command: Sequence[str]) -> None:
        """Start this and wait until it answers."""
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(500):
            if self._answers():
                return
            assert self._process.poll() is None, "redis-server ended at once"
            time.sleep(0.02)
        pytest.fail("redis-server does not answer")

    def ask(self, *command: object) -> Any:
        """What it says, as to an operator."""
        with self.client() as client:
            return client.execute_command(*command)

    def calls(self, command: str) -> int:
        """How often it was told this."""
        told = self.ask("INFO", "commandstats").get(f"cmdstat_{command}")
        return int(told["calls"]) if told else 0

    def client(self, **options: Any) -> "Redis":
        """redis-py's, over TLS where that is all that the server talks."""
        if self.is_encrypted:
            options |= {"ssl": True, "ssl_ca_certs": str(self.folder / "ca.pem")}
        return Redis(host="127.0.0.1", port=self.port, **options)

    @property
    def is_encrypted(self) -> bool:
        """Whether it talks TLS only; its CA is in ca.pem."""
        return "tls_port" in self.options

    def encrypt(self) -> None:
        """Have it talk TLS only, with the certificates that are in its folder."""
        self.options |= {
            "port": 0,
            "tls_port": self.port,
            "tls_cert_file": self.folder / "cert.pem",
            "tls_key_file": self.folder / "key.pem",
            "tls_ca_cert_file": self.folder / "ca.pem",
            "tls_auth_clients": "no",
            "tls_replication": "yes",
        }

    def kill(self) -> None:
        """SIGKILL: its clients' connections are reset, and its data is gone."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: connections stand, and nothing answers."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Make sure that it is gone."""
        if self._process and self._process.poll() is None:
            self.thaw()
            self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)
        self._process.wait()

    def _speak(self, connection: socket.socket) -> socket.socket:
        """As the server wants to be spoken to: over TLS where that is all it has."""
        if not self.is_encrypted:
            return connection
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        return context.wrap_socket(connection, server_hostname="127.0.0.1")

    def _answers(self) -> bool:
        try:
            with (
                socket.create_connection(("127.0.0.1", self.port), 1) as plain,
                self._speak(plain) as connection,
            ):
                connection.sendall(b"PING\r\n")
                return connection.recv(16) == b"+PONG\r\n"
        except OSError:
            return False


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def has_redis_server() -> bool:
    """Whether the machine has a redis-server; `make test` installs one."""
    return shutil.which("redis-server") is not None


def skip_without_redis() -> None:
    """Skip the test on a machine without redis-server."""
    if not has_redis_server():
        pytest.skip("no redis-server on this machine: `make test` installs one")
