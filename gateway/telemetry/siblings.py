"""The workers of one gateway, and what each has counted.

Whoever is asked for the metrics asks all the others, on sockets in a folder of their own, and adds up. Before a
worker tells anybody what it has counted it writes that down, so that what was once told stays told, whatever
becomes of it: counters never go back. Counting itself costs what it costs a single process.

    3-4711.sock      worker 3, process 4711, answers here
    3-4711.counts    what it has told, or had counted when it ended
    gone.counts      what workers that have ended had counted, added up by their parent
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from gateway.telemetry.totals import Totals, add_up, counted, decode_totals

METRICS = "metrics"
_PATIENCE = 1.0  # seconds; a worker that is stuck must not hold the others
_GONE = "gone"

Answers = Mapping[str, Callable[[], bytes]]


class Gone(msgspec.Struct, array_like=True):
    """The workers that have ended, and what they had counted."""

    names: list[str]
    totals: Totals


class Siblings:
    """This worker among the others."""

    def __init__(self, folder: Path, slot: int) -> None:
        self._folder = folder
        self._name = name_of(slot, os.getpid())
        self._answers: Answers = {}
        self._server: asyncio.Server | None = None
        self._writing = asyncio.Lock()  # what was told last is written last

    async def open(self, answers: Answers) -> None:
        """Answer the others, by what they ask for."""
        self._answers = answers
        self._server = await asyncio.start_unix_server(self._serve, self._folder / f"{self._name}.sock")

    async def aclose(self) -> None:
        """Leave what was counted behind."""
        if self._server is not None:
            self._server.close()
        if METRICS in self._answers:
            await self._answer(METRICS)
        with suppress(OSError):
            await asyncio.to_thread((self._folder / f"{self._name}.sock").unlink)

    async def totals(self) -> Totals:
        """What all workers have counted, those that have ended included."""
        told = await self.ask(METRICS)
        left, gone = await asyncio.to_thread(_left_behind, self._folder, frozenset(told))
        living = [decode_totals(answer) for name, answer in told.items() if name not in gone]
        return add_up([*living, *left])

    async def ask(self, what: str) -> dict[str, bytes]:
        """The answers of all workers that give one in time, by name; our own first."""
        own = await self._answer(what)
        others = await asyncio.to_thread(self._others)
        answers = await asyncio.gather(*(self._ask(name, what) for name in others))
        return {self._name: own} | {
            name: answer for name, answer in zip(others, answers, strict=True) if answer
        }

    def _others(self) -> list[str]:
        return sorted(each.stem for each in self._folder.glob("*.sock") if each.stem != self._name)

    async def _ask(self, name: str, what: str) -> bytes:
        try:
            async with asyncio.timeout(_PATIENCE):
                reader, writer = await asyncio.open_unix_connection(self._folder / f"{name}.sock")
                try:
                    writer.write(what.encode() + b"\n")
                    return await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return b""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                what = (await reader.readline()).decode().strip()
                writer.write(await self._answer(what))
                await writer.drain()
        except (OSError, TimeoutError, ValueError):
            writer.transport.abort()
        else:
            writer.close()

    async def _answer(self, what: str) -> bytes:
        if what != METRICS:
            return self._answers[what]()
        async with self._writing:
            answer = self._answers[what]()
            with suppress(OSError):  # a full disk, say: what is told now is right all the same
                await asyncio.to_thread(_write, self._folder / f"{self._name}.counts", answer)
        return answer


def name_of(slot: int, process: int) -> str:
    """What a worker's files are called."""
    return f"{slot}-{process}"


def bury(folder: Path, name: str) -> None:
    """Add what a worker that has ended had counted to that of the others. Only their parent does."""
    with suppress(FileNotFoundError):
        (folder / f"{name}.sock").unlink()
    file = folder / f"{name}.counts"
    with suppress(OSError, msgspec.MsgspecError):
        totals = decode_totals(file.read_bytes())
        before = _gone(folder)
        now = Gone([*before.names, name], add_up([before.totals, counted(totals)]))
        _write(folder / f"{_GONE}.counts", msgspec.msgpack.encode(now))
        file.unlink()


def _left_behind(folder: Path, told: frozenset[str]) -> tuple[list[Totals], frozenset[str]]:
    """What was counted by all that did not tell it themselves, and who of all is in `gone`.

    The parent writes `gone` before it removes what it has added there. So `gone` is read last: a file that is
    missing by then is in it, and what was read or told before may be, too, and is left out then.
    """
    files = {each.stem: _read(each) for each in folder.glob("*.counts")}
    gone = _gone(folder)
    left = [
        counted(totals)
        for name, totals in files.items()
        if totals is not None and name not in told and name not in gone.names
    ]
    return [*left, gone.totals], frozenset(gone.names)


def _gone(folder: Path) -> Gone:
    try:
        return msgspec.msgpack.decode((folder / f"{_GONE}.counts").read_bytes(), type=Gone)
    except FileNotFoundError:
        return Gone([], [])


def _read(file: Path) -> Totals | None:
    if file.stem == _GONE:
        return None
    try:
        return decode_totals(file.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None


def _write(file: Path, content: bytes) -> None:
    """Replace a file, so that nobody sees half of it."""
    half = file.with_suffix(".half")
    half.write_bytes(content)
    half.replace(file)
