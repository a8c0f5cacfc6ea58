"""Many clients at once: votes, hits, joined votes and streams, and now and then a request that is no good.

Each notes what it was answered, so that in the end one can say: so many failed, and these questions had two answers.
"""

import asyncio
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from random import Random
from time import monotonic
from typing import Any

import aiohttp

_PAUSE = 0.6  # seconds on average between two requests of a client
_HOT = 40  # questions that are asked over and over
_FRESH = 0.35  # share of requests with a question that hardly anybody asked before
_STREAMS = 0.4
_BAD = 0.01
_TRIES = 4  # of a client whose connection breaks, as SDKs do (openai-python: three)
_PATIENCE = 60.0


@dataclass(slots=True)
class Failure:
    """A request that should have been answered, and was not, or not on this connection."""

    at: float
    question: str
    why: str


@dataclass(slots=True)
class Seen:
    """What the clients saw. Times are seconds of `monotonic`."""

    answers: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(dict))
    failures: list[Failure] = field(default_factory=list)
    broken: list[Failure] = field(default_factory=list)  # connections that broke; the request was sent again
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, question: str, answer: str, at: float) -> None:
        """An answer that a client got."""
        self.answers[question].setdefault(answer, []).append(at)


class Clients:
    """So many clients of one gateway, until they are told to stop."""

    def __init__(self, url: str, number: int, seed: int = 1) -> None:
        self.seen = Seen()
        self._url = url
        self._number = number
        self._seed = seed
        self._stopping = False

    def stop(self) -> None:
        """No more requests; those under way end."""
        self._stopping = True

    async def run(self) -> Seen:
        """Ask until told to stop."""
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=_PATIENCE)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            asyncio.TaskGroup() as group,
        ):
            for number in range(self._number):
                group.create_task(self._ask_on(session, Random(self._seed * 1000 + number)))
        return self.seen

    async def answer_to(self, question: str) -> str:
        """What a client that comes anew is answered."""
        async with aiohttp.ClientSession() as session:
            return await _ask(session, self._url, question, streamed=False)

    async def _ask_on(self, session: aiohttp.ClientSession, dice: Random) -> None:
        await asyncio.sleep(dice.random() * _PAUSE)
        while not self._stopping:
            if dice.random() < _BAD:
                await self._ask_badly(session)
            else:
                await self._ask_well(session, self._question(dice), streamed=dice.random() < _STREAMS)
            await asyncio.sleep(dice.random() * 2 * _PAUSE)

    def _question(self, dice: Random) -> str:
        """One of the hot ones, or one that only those ask who come in the same moment."""
        if dice.random() < _FRESH:
            return f"fresh {int(monotonic() * 20)}.{dice.randrange(3)}"
        return f"hot {dice.randrange(_HOT)}"

    async def _ask_well(self, session: aiohttp.ClientSession, question: str, *, streamed: bool) -> None:
        why = ""
        for _ in range(_TRIES):
            try:
                answer = await _ask(session, self._url, question, streamed=streamed)
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:  # also in mid-answer
                why = self._reconnected(question, error)
                await asyncio.sleep(_PAUSE / 4)
            except (aiohttp.ClientError, TimeoutError, Refused, ValueError) as error:
                why = f"{type(error).__name__}: {error}"
                break
            else:
                self.seen.note(question, answer, monotonic())
                self.seen.counts["streamed" if streamed else "plain"] += 1
                return
        self.seen.failures.append(Failure(monotonic(), question, why))

    async def _ask_badly(self, session: aiohttp.ClientSession) -> None:
        """A request that must be refused, by a gateway that lives on."""
        try:
            async with session.post(
                f"{self._url}/v1/chat/completions", data=b'{"model": "m", "mess'
            ) as response:
                self.seen.counts["refused" if response.status == 400 else "not refused"] += 1
        except aiohttp.ClientConnectionError as error:
            self._reconnected("a bad one", error)

    def _reconnected(self, question: str, error: aiohttp.ClientError) -> str:
        why = f"{type(error).__name__}: {error}"
        self.seen.broken.append(Failure(monotonic(), question, why))
        self.seen.counts["reconnected"] += 1
        return why


class Refused(Exception):
    """An answer that is an error."""


async def _ask(session: aiohttp.ClientSession, url: str, question: str, *, streamed: bool) -> str:
    body = {
        "model": "m",
        "temperature": 0,
        "stream": streamed,
        "messages": [{"role": "user", "content": question}],
    }
    async with session.post(f"{url}/v1/chat/completions", json=body) as response:
        said = await response.read()
        if response.status != 200:
            raise Refused(f"{response.status} {said[:300]!r}")
    return _streamed(said) if streamed else str(json.loads(said)["choices"][0]["message"]["content"])


def _streamed(said: bytes) -> str:
    events = [line.removeprefix(b"data: ") for line in said.split(b"\n") if line.startswith(b"data: ")]
    if not events or events[-1] != b"[DONE]":
        raise Refused(f"a stream that ends with {events[-1:]!r}")
    chunks: list[Any] = [json.loads(event) for event in events[:-1]]
    return "".join(
        choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", ())
    )
