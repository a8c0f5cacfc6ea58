"""One scenario from its gateway's start to its figures' raw data."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

from benchmarks.lanes.asking import Clients, Subject
from benchmarks.lanes.kept import OK, Kept
from benchmarks.lanes.questions import Load, hits, one_round
from benchmarks.lanes.scenarios import FAST, Scenario
from benchmarks.lanes.servers import Lane, gateway, get_json
from benchmarks.processes import BenchError

_SAVE = 5.0  # seconds between two looks at what is kept
# What the gateway measures later it asks within ten seconds of each other, then waits for the answers.
_LATER, _LATEST = 12.0, 60.0

Save = Callable[[], None]


def measure(
    scenario: Scenario, lanes: Mapping[str, Lane], load: Load, folder: Path, kept: Kept, save: Save
) -> None:
    """Fill `kept`, and `save` it now and then.

    Raises:
        BenchError: it cannot be measured here, or nothing was answered.
    """
    missing = [name for name in scenario.lanes if name not in lanes]
    if missing:
        raise BenchError(f"needs --{missing[0]}")
    with _asked(scenario, lanes, folder) as url:
        before = asyncio.run(_measure(scenario, lanes, url, load, kept, save))
        if scenario.vote is not None and scenario.vote.get("measure"):
            _wait_for_pairs(url)
            kept.rates = _rates(url)
    kept.generated = {name: count - before[name] for name, count in _generated(lanes, before).items()}
    if not any(answer.fault == OK for answer in kept.answers):
        raise BenchError(next((answer.fault for answer in kept.answers), "nothing was asked"))
    kept.is_complete = True


@contextmanager
def _asked(scenario: Scenario, lanes: Mapping[str, Lane], folder: Path) -> Iterator[str]:
    if scenario.vote is None:
        yield lanes[FAST].url
        return
    with gateway(scenario, lanes, folder) as url:
        yield url


async def _measure(
    scenario: Scenario, lanes: Mapping[str, Lane], url: str, load: Load, kept: Kept, save: Save
) -> dict[str, float]:
    """Both rounds; returns how many tokens each lane had generated before."""
    fast = lanes[FAST]
    salt = token_hex(8) if fast.owner == "vllm" else None  # another one if it is measured again
    clients = Clients(Subject(url, fast.model, salt, scenario.is_pinned), load, kept.answers)
    try:
        await clients.warm_up()
    except OSError as error:
        raise BenchError(str(error)) from error
    if scenario.is_pinned:
        await clients.ask_all(range(load.in_flight), 0, load.seconds)
        kept.answers.clear()
    saving = asyncio.create_task(_save_now_and_then(save))
    try:
        before = _generated(lanes, scenario.lanes)
        for number in (0, 1):
            asked = _round(scenario, load, number, kept)
            kept.seconds.append(await clients.ask_all(asked, number, load.seconds / 2))
    finally:
        saving.cancel()
    return before


def _round(scenario: Scenario, load: Load, number: int, kept: Kept) -> list[int]:
    """The second round asks what the first one answered, in another order."""
    if scenario.is_pinned:
        return hits(load, number)
    first = {answer.prompt for answer in kept.answers if answer.fault == OK}
    return one_round(load, number, sorted(first) if number else range(load.prompts))


async def _save_now_and_then(save: Save) -> None:
    while True:
        await asyncio.sleep(_SAVE)
        save()


def _generated(lanes: Mapping[str, Lane], names: Iterable[str]) -> dict[str, float]:
    counts = {name: lanes[name].generated() for name in names}
    return {name: count for name, count in counts.items() if count is not None}


def _rates(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get_json(f"{url}/v1/consistency/summary")["consistency"]
    return found


def _wait_for_pairs(url: str) -> None:
    """Return when no more of what is measured later comes in."""
    began = changed = time.monotonic()
    seen: list[dict[str, Any]] = []
    while time.monotonic() - changed < _LATER and time.monotonic() - began < _LATEST:
        time.sleep(0.5)
        if (found := _rates(url)) != seen:
            seen, changed = found, time.monotonic()
