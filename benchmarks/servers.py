"""Our own parts, started on free ports of 127.0.0.1: upstreams, Redis, floors, gateways."""

import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from benchmarks.processes import BenchError, Group, Server, free_port, start
from benchmarks.subjects import FLOORS, MODES, Subject

_PROGRAMS = Path(__file__).resolve().parent / "programs"
_NEEDED = ("nginx", "wrk", "redis-server")
_ANSWER = (
    '{"id":"chatcmpl-2f9c4be07d6a4d0c9b8e35d1a7f06c11","object":"chat.completion","created":1760000000,"model":"m",'
    '"choices":[{"index":0,"message":{"role":"assistant","content":"180 km in 2.5 hours is 72 km/h, which makes '
    '42 km in 35 minutes. The final answer is 42.","refusal":null,"annotations":null,"audio":null,'
    '"function_call":null,"tool_calls":[],"reasoning":null},"logprobs":null,"finish_reason":"stop",'
    '"stop_reason":null,"token_ids":null}],"service_tier":null,"system_fingerprint":null,'
    '"usage":{"prompt_tokens":58,"total_tokens":90,"completion_tokens":32,"prompt_tokens_details":null},'
    '"prompt_logprobs":null,"prompt_token_ids":null,"kv_transfer_params":null}'
)


Command = Callable[[int], Sequence[str]]  # by the port to listen on


class Servers:
    """What is running, each started once, all stopped in the end."""

    def __init__(self, folder: Path) -> None:
        missing = [program for program in _NEEDED if shutil.which(program) is None]
        if missing:
            raise BenchError(f"not installed: {', '.join(missing)}")
        self.folder = folder
        self._running: dict[str, Server] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything."""
        self._running.clear()
        self._stack.close()

    @property
    def behind(self) -> list[Group]:
        """Groups of the servers that work for whichever subject is asked."""
        return [self._running[name].group for name in ("upstream", "redis") if name in self._running]

    def upstream(self) -> Server:
        """nginx with one canned answer."""
        return self._once(
            "upstream", lambda port: self._nginx("canned", port, {"ANSWER": _ANSWER}), "/version"
        )

    def sse_upstream(self) -> Server:
        """Streams whose chunks carry the time at which they were sent."""
        return self._once("sse-upstream", lambda port: _python("sse_upstream", port), "/v1/models")

    def redis(self) -> str:
        """A redis-server without persistence; its URL."""
        options = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(self.folder))
        server = self._once("redis", lambda port: ["redis-server", "--port", str(port), *options], None)
        return server.url.replace("http:", "redis:") + "/0"

    def floor(self, name: str, upstream: Server) -> Server:
        """One of FLOORS, in front of this upstream."""
        behind = upstream.url.removeprefix("http://")
        commands: dict[str, Command] = {
            "nginx": lambda port: self._nginx("proxy", port, {"UPSTREAM": behind}),
            "floor-proxy": lambda port: _python("floor_proxy", port, upstream.url),
            "floor-cache": lambda port: _python("floor_cache", port, upstream.url, self.redis()),
        }
        if name == "upstream":
            return upstream
        return self._once(
            f"{name} on {upstream.name}",
            commands[name],
            "/healthz" if name == "floor-cache" else "/v1/models",
        )

    def gateway(
        self, upstream: Server, settings: Mapping[str, str], command: Command | None = None
    ) -> Server:
        """`scg serve` in front of this upstream with these variables; those that share them share a process."""
        given = self.variables(upstream, settings)
        name = "gateway " + " ".join(sorted(f"{key}={value}" for key, value in given.items()))
        return self._once(name, command or gateway_command, "/readyz", given)

    def variables(self, upstream: Server, settings: Mapping[str, str]) -> dict[str, str]:
        """A mode's variables for a gateway in front of this upstream; starts Redis where they name it."""
        given = {name: self.redis() if text == "@REDIS@" else text for name, text in settings.items()}
        return given | {"SCG_UPSTREAM_URL": upstream.url}

    def _once(
        self,
        name: str,
        command: Command,
        ready: str | None,
        environment: Mapping[str, str] | None = None,
    ) -> Server:
        """The server of this name; started if it is not there yet."""
        if name not in self._running:
            port = free_port()
            log = self.folder / f"{port}.log"
            server = start(name, command(port), port, log, environment)
            self._stack.callback(server.stop)
            _wait_for_port(port) if ready is None else server.wait_until_ready(ready)
            self._running[name] = server
        return self._running[name]

    def _nginx(self, template: str, port: int, values: Mapping[str, str]) -> Sequence[str]:
        text = (_PROGRAMS / f"{template}.nginx").read_text()
        for name, value in {"PORT": str(port), "FOLDER": str(self.folder), **values}.items():
            text = text.replace(f"@{name}@", value)
        config = self.folder / f"{template}-{port}.conf"
        config.write_text(text)
        return ["nginx", "-p", str(self.folder), "-c", str(config), "-g", "daemon off;"]


def gateway_command(port: int) -> Sequence[str]:
    """The gateway as users start it."""
    return [sys.executable, "-m", "gateway", "serve", "--port", str(port)]


def subjects(servers: Servers, wanted: Iterable[str]) -> list[Subject]:
    """The floors and modes of these names, running."""
    upstream = servers.upstream()
    names = list(wanted)
    made = [_floor_subject(servers, name, upstream) for name in FLOORS if name in names]
    return made + [mode_subject(servers, name) for name in MODES if name in names]


def mode_subject(servers: Servers, name: str, command: Command | None = None) -> Subject:
    """A mode's gateway, running, and its question."""
    mode = MODES[name]
    server = servers.gateway(servers.upstream(), mode.settings, command)
    return Subject(name, mode.title, server.url, server.group, mode.question, mode.source, is_ours=True)


def _floor_subject(servers: Servers, name: str, upstream: Server) -> Subject:
    title, question = FLOORS[name]
    server = servers.floor(name, upstream)
    return Subject(name, title, server.url, server.group, question)


def _python(program: str, *arguments: object) -> Sequence[str]:
    return [sys.executable, str(_PROGRAMS / f"{program}.py"), *map(str, arguments)]


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise BenchError(f"nothing listens on port {port}")
