"""Clients that ask at once, each one thing at a time, for so many seconds."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from time import monotonic

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from benchmarks.lanes.kept import CUT, OK, Answer
from benchmarks.lanes.questions import Load, body

_PATH = "/v1/completions"
_PATIENCE = 600.0  # seconds for one answer


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom to ask. `salt` is a member for servers that keep prefixes apart by it; a pinned answer may be taken."""

    url: str
    model: str
    salt: str | None = None
    takes_pins: bool = False


class Clients:
    """A scenario's clients; what they are answered goes to `answers` as it comes."""

    def __init__(self, subject: Subject, load: Load, answers: list[Answer]) -> None:
        self._subject = subject
        self._load = load
        self._answers = answers

    async def ask_all(self, prompts: Sequence[int], number: int, seconds: float) -> float:
        """Ask these as round `number`; the seconds that it took, `seconds` at most. What is not begun then is left."""
        began = monotonic()
        left = iter(prompts)
        async with self._session() as session:
            clients = [
                asyncio.create_task(self._ask_on(session, left, number)) for _ in range(self._load.in_flight)
            ]
            try:
                done, running = await asyncio.wait(clients, timeout=seconds)
                spent = monotonic() - began
            finally:
                for client in clients:
                    client.cancel()
                await asyncio.wait(clients)
            for client in done - running:
                client.result()
        return spent

    async def warm_up(self) -> None:
        """A few short answers that count nothing, to prompts that nobody else asks."""
        load = replace(self._load, tokens=min(8, self._load.tokens))
        async with self._session() as session:
            asked = (self._ask(session, -prompt, 0, load) for prompt in range(1, 17))
            for answer in await asyncio.gather(*asked):
                if answer.fault:
                    raise ConnectionError(answer.fault)

    def _session(self) -> ClientSession:
        headers = {"content-type": "application/json"}
        if not self._subject.takes_pins:
            headers["cache-control"] = "no-store"
        return ClientSession(
            headers=headers, connector=TCPConnector(limit=0), timeout=ClientTimeout(_PATIENCE)
        )

    async def _ask_on(self, session: ClientSession, left: Iterator[int], number: int) -> None:
        for prompt in left:
            began = monotonic()
            try:
                self._answers.append(await self._ask(session, prompt, number, self._load))
            except asyncio.CancelledError:
                self._answers.append(Answer(prompt, number, _since(began), fault=CUT))
                raise

    async def _ask(self, session: ClientSession, prompt: int, number: int, load: Load) -> Answer:
        subject, began = self._subject, monotonic()
        asked = body(load, subject.model, prompt, subject.salt)
        try:
            async with session.post(subject.url + _PATH, data=asked) as response:
                raw, told = await response.read(), response.headers
                if response.status != 200:
                    fault = f"{response.status}: {raw[:200].decode(errors='replace')}"
                    return Answer(prompt, number, _since(began), fault=fault)
        except (ClientError, TimeoutError) as error:
            return Answer(prompt, number, _since(began), fault=repr(error)[:200])
        spent = _since(began)
        text = sha256(json.loads(raw)["choices"][0]["text"].encode()).hexdigest()[:8]
        agreement = told.get("x-consistency-agreement")
        return Answer(
            prompt,
            number,
            spent,
            text,
            int(told.get("x-consistency-samples", "0")),
            None if agreement is None else float(agreement),
            OK,
        )


def _since(began: float) -> float:
    return round(1e3 * (monotonic() - began), 2)
