"""Every problem under one way of voting, asked through the gateway."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import ClientSession

from benchmarks.votes.problems import Problem

_MAX_TOKENS = 200


@dataclass(frozen=True, slots=True)
class Way:
    """One way of voting."""

    title: str
    k: int
    stop: str = "all"
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of one question."""

    is_right: bool
    answer: str
    agreement: float
    samples: int


async def ask_all(
    url: str, temperature: float, way: Way, problems: Sequence[Problem], in_flight: int
) -> list[Asked]:
    """Every problem once, in order, with about `in_flight` samples at a time."""
    places = asyncio.Semaphore(max(1, in_flight // way.k))
    async with ClientSession() as session:

        async def ask(problem: Problem) -> Asked:
            async with places:
                return await _ask(session, url, _body(temperature, way, problem), problem)

        return await asyncio.gather(*(ask(problem) for problem in problems))


def _body(temperature: float, way: Way, problem: Problem) -> dict[str, object]:
    return {
        "model": "demo",
        "messages": [{"role": "user", "content": problem.question}],
        "temperature": temperature,
        "seed": way.seed,
        "max_tokens": _MAX_TOKENS,
        "consistency": {"policy": "majority", "k": way.k, "stop": way.stop, "answer": "number"},
    }


async def _ask(session: ClientSession, url: str, body: dict[str, object], problem: Problem) -> Asked:
    headers = {"cache-control": "no-store"}
    async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response:
        answer = await response.json()
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {answer}")
        said = last_number(answer["choices"][0]["message"]["content"])
        return Asked(
            is_right=said == problem.answer,
            answer=said,
            agreement=float(response.headers["x-consistency-agreement"]),
            samples=int(response.headers["x-consistency-samples"]),
        )


def last_number(text: str) -> str:
    """What follows the last `####`, which ends every answer of the demo model that is whole."""
    _, found, answer = text.rpartition("####")
    return answer.strip() if found else ""
