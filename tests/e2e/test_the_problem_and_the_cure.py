"""What the project is for, on one's own machine: random weights in bf16, on a CPU, under load."""

import json
import random
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import processes
from tests.doubles.processes import Running

pytestmark = [pytest.mark.backend, pytest.mark.processes, pytest.mark.timeout(300)]

# Prompts of other lengths beside it change what a prompt is batched and padded with.
PROMPTS = [
    "What is 23 + 48?",
    "Explain 5 + 6 - 7",
    "How much is 812 - 34 + 9 + 100?",
    "9 + 9",
    "Compute 1 + 2 + 3 + 4",
]
COPIES = 12
IN_FLIGHT = 12


def ask(url: str, prompt: str, tokens: int = 48) -> tuple[str, dict[str, str]]:
    """Temperature 0, a fixed seed: text and header."""
    body = {"model": "random", "messages": [{"role": "user", "content": prompt}], "temperature": 0, "seed": 1}
    data = json.dumps(body | {"max_tokens": tokens}).encode()
    request = urllib.request.Request(f"{url}/v1/chat/completions", data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=250) as answer:
        completion: Any = json.load(answer)
        headers = {name.lower(): value for name, value in answer.headers.items()}
    return completion["choices"][0]["message"]["content"], headers


def under_load(url: str) -> dict[str, set[str]]:
    """Every prompt so many times, in random order, many at once: its different texts."""
    asked = PROMPTS * COPIES
    random.Random(1).shuffle(asked)
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        texts = list(pool.map(lambda prompt: (prompt, ask(url, prompt)[0]), asked))
    return {prompt: {text for asked_for, text in texts if asked_for == prompt} for prompt in PROMPTS}


def test_the_problem(random_backend: Running) -> None:
    """Without the gateway some prompt has more than one text at temperature 0 with a seed.

    One or two of the 5 prompts have several texts in most rounds; the test asks on until one has, at most 20 rounds.
    """
    assert any(max(map(len, under_load(random_backend.url).values())) > 1 for _ in range(20))


def test_the_cure(random_backend: Running, tmp_path: Path) -> None:
    """Through the gateway every client gets one text per prompt, and the metrics show what they were spared."""
    with processes.gateway(tmp_path, random_backend.url, VOTE__RECHECK="0") as gateway:
        texts = under_load(gateway.url)
        assert [1] * len(PROMPTS) == [len(texts[prompt]) for prompt in PROMPTS]
        assert len(PROMPTS) == gateway.metric("scg_pairs_total", model="random")


def test_the_disagreement_is_published(random_backend: Running, tmp_path: Path) -> None:
    """Votes under load disagree, and the metrics say how often.

    A vote's copies share a batch and mostly agree: with 12 votes in flight about one in 12 differs, with 6 in flight
    none of hundreds. So the test asks on until one does, at most 400 prompts.
    """
    with processes.gateway(tmp_path, random_backend.url) as gateway, ThreadPoolExecutor(IN_FLIGHT) as pool:

        def outcome(number: int) -> str:
            prompt = f"What is {number} + {7 * number}{' + 1' * (number % 9)}?"
            return ask(gateway.url, prompt)[1]["x-consistency-outcome"]

        for start in range(0, 400, 40):
            if set(pool.map(outcome, range(start, start + 40))) != {"unanimous"}:
                break
        assert gateway.metric("scg_pairs_total", result="different") >= 1
