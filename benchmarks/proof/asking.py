"""Rounds through the gateway, and the load beside them."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from random import Random
from time import monotonic

from aiohttp import ClientSession

from gateway.core.answer.number import last_number

IN_FLIGHT = 12  # samples of what is measured
_SWELL = 17.0  # seconds from calm to calm of the load
_MOST_LOAD = 4  # requests


@dataclass(frozen=True, slots=True)
class Way:
    """A way of asking through the gateway, and what the audit calls it."""

    title: str
    policy: str
    spread: str  # as the audit has it: apart | mixed | alone
    headers: Mapping[str, str]
    at_once: int = 1  # samples of one round that are in flight together


_APART = {"x-consistency-spread": "staggered:1s"}
WAYS = (
    Way("single", "single", "apart", {"x-consistency-policy": "single"}),
    Way("majority, k=3 together", "majority", "mixed", {"x-consistency-policy": "majority"}, 3),
    Way("majority, k=3 staggered", "majority", "apart", {"x-consistency-policy": "majority", **_APART}),
    Way("majority, k=5 staggered", "majority, k=5", "apart",
        {"x-consistency-policy": "majority", "x-consistency-k": "5", **_APART}),
    Way("strict, k=3 staggered", "strict", "apart", {"x-consistency-policy": "strict", **_APART}),
    Way("serial", "serial", "alone", {"x-consistency-policy": "serial"}, IN_FLIGHT),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asking:
    """What is the same of every request."""

    url: str
    model: str
    max_tokens: int
    answer: str

    def body(self, prompt: str) -> dict[str, object]:
        """A prompt as the audit asks it."""
        messages = [{"role": "user", "content": prompt}]
        return {
            "model": self.model,
            "messages": messages,
            "temperature": 0,
            "max_tokens": self.max_tokens,
            "seed": 1,
        }


async def ask_all(
    asking: Asking, headers: Mapping[str, str], prompts: Sequence[str], at_once: int, order: int
) -> list[str]:
    """The text of every prompt's answer; the prompts are asked once each, in an order of this round's own."""
    told = {"cache-control": "no-store", "x-consistency-answer": asking.answer, **headers}
    places = asyncio.Semaphore(at_once)
    said: dict[str, str] = {}
    async with ClientSession() as session:

        async def ask(prompt: str) -> None:
            async with (
                places,
                session.post(
                    f"{asking.url}/v1/chat/completions", json=asking.body(prompt), headers=told
                ) as response,
            ):
                answer = await response.json()
                if response.status != 200:
                    raise RuntimeError(f"{response.status}: {answer}")
                said[prompt] = answer["choices"][0]["message"]["content"]

        await asyncio.gather(*(ask(prompt) for prompt in Random(order).sample(prompts, len(prompts))))
    return [said[prompt] for prompt in prompts]


@asynccontextmanager
async def load(url: str, model: str, max_tokens: int) -> AsyncIterator[None]:
    """Other prompts, of other lengths, straight to the backend, now more of them and now fewer."""
    numbers = count()

    async def keep_asking(session: ClientSession, worker: int) -> None:
        while True:
            if worker >= _MOST_LOAD / 2 * (1 + math.sin(monotonic() * 2 * math.pi / _SWELL)):
                await asyncio.sleep(0.2)
                continue
            number = next(numbers)
            text = f"Note {number}. " + "Explain 7 + 8 again. " * (number * 5 % 13)
            body = {
                "model": model,
                "messages": [{"role": "user", "content": text}],
                "max_tokens": 4 + number * 7 % max_tokens,
            }
            async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                await response.read()

    async with ClientSession() as session:
        tasks = [asyncio.create_task(keep_asking(session, worker)) for worker in range(_MOST_LOAD)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def answer_of(text: str, rule: str) -> str | None:
    """What is compared: the text itself, or its last number."""
    return last_number(text) if rule == "number" else text
