"""`scg serve` as a process of its own, with a file that a test may change, and its log as it comes."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientConnectionError, ClientSession

from tests.doubles.gateway import HELLO, Fields, Got
from tests.doubles.redis_server import free_port
from tests.doubles.waiting import until_async

Settings = Mapping[str, Any]


@dataclass
class Served:
    """The process, from outside."""

    url: str
    file: Path
    session: ClientSession
    process: asyncio.subprocess.Process
    log: list[str] = field(default_factory=list)
    told: asyncio.Condition = field(default_factory=asyncio.Condition)

    def configure(self, settings: Settings | str) -> None:
        """Write the file anew."""
        self.file.write_text(settings if isinstance(settings, str) else yaml.safe_dump(dict(settings)))

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def chat(self, headers: Fields | None = None, **members: Any) -> Got:
        """POST /v1/chat/completions: the usual question, with these members on top."""
        url = f"{self.url}/v1/chat/completions"
        async with self.session.post(url, json=HELLO | members, headers=headers) as response:
            return await Got.read(response)

    async def get(self, path: str, headers: Fields | None = None) -> Got:
        async with self.session.get(self.url + path, headers=headers) as response:
            return await Got.read(response)

    async def logged(self, text: str, times: int = 1) -> str:
        """Wait for a line with this text, or for the last of so many; the line."""

        def found() -> list[str]:
            return [line for line in self.log if text in line]

        async with self.told, asyncio.timeout(60):
            await self.told.wait_for(lambda: len(found()) >= times)
        return found()[times - 1]

    async def is_ready(self) -> bool:
        try:
            return (await self.get("/readyz")).status == 200
        except (ClientConnectionError, ConnectionError):
            return False

    async def read_log(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            async with self.told:
                self.log.append(line.decode().rstrip())
                self.told.notify_all()


@asynccontextmanager
async def serve(
    folder: Path, settings: Settings, environ: Mapping[str, str] | None = None, *words: str
) -> AsyncIterator[Served]:
    """`scg serve` with this file, once it is ready. What a test leaves running is killed, workers included."""
    file, port = folder / "scg.yaml", free_port()
    file.write_text(yaml.safe_dump(dict(settings)))
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SCG_", "OTEL_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", "--config", str(file), "--port", str(port), *words),
        env=own | dict(environ or {}),
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    async with ClientSession() as session:
        served = Served(f"http://127.0.0.1:{port}", file, session, process)
        reading = asyncio.create_task(served.read_log())
        try:
            await _ready(served)
            yield served
        finally:
            _kill(process)
            await process.wait()
            await reading


async def _ready(served: Served) -> None:
    async def is_up_or_gone() -> bool:
        assert served.process.returncode is None, "\n".join(served.log)
        return await served.is_ready()

    await until_async(is_up_or_gone)


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@asynccontextmanager
async def manager(folder: Path) -> AsyncIterator[tuple[str, Callable[[], Any]]]:
    """A service manager's socket: its address, and what it is told next, as a mapping."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(folder / "notify"))
        line.setblocking(False)  # noqa: FBT003  its own signature

        async def told() -> dict[str, str]:
            async with asyncio.timeout(60):
                text = (await asyncio.get_running_loop().sock_recv(line, 4096)).decode()
            return dict(each.split("=", 1) for each in text.splitlines())

        yield str(folder / "notify"), told


def text_of(line: str) -> Any:
    """A line of the log that is JSON."""
    return json.loads(line)
