"""Answers of an audit, written down as texts."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.audit.find.findings import Findings, find
from gateway.audit.heard import Heard, Outcome
from gateway.audit.journal import Head
from gateway.audit.prompts import plain_prompt
from gateway.audit.schedule import schedule
from gateway.audit.spec import ALONE, APART, Spec
from gateway.core.ballot import Extracted, Reply, Sample


def spec_of(prompts: int, **changes: Any) -> Spec:
    """A small audit of as many prompts."""
    made = tuple(plain_prompt(f"question {at}") for at in range(prompts))
    small: dict[str, Any] = {"concurrencies": (1, 4), "copies": 6, "kinds": (ALONE, APART)}
    return Spec("m", made, **(small | changes))


def head_of(spec: Spec, **changes: Any) -> Head:
    told: dict[str, Any] = {
        "urls": ("http://u",),
        "engine": "vllm",
        "nonce": "n",
        "started": "2026-01-01T00:00:00+00:00",
    }
    return Head(spec, **(told | changes))


def hear(spec: Spec, texts: Mapping[str, Sequence[Sequence[str]]], **members: Any) -> list[Outcome]:
    """An answer to every shot: `texts[kind]` has the texts of each prompt, round by round, copies in order."""
    found: list[Outcome] = []
    launch = 0
    for phase in schedule(spec):
        size = len(phase.groups[0])
        for group in phase.groups:
            launch += 1
            for shot in group:
                said = texts[phase.kind][shot.prompt]
                text = said[(shot.round * size + shot.copy) % len(said)]
                sample = Sample(shot.turn, Reply(text, tokens=4), extracted=Extracted(text))
                told: dict[str, Any] = {
                    "seconds": 1.0,
                    "in_flight": phase.concurrency,
                    "replica": shot.turn % 2,
                }
                found.append(Heard(shot, sample, launch, **(told | members)))
    return found


def findings(spec: Spec, texts: Mapping[str, Sequence[Sequence[str]]], **head: Any) -> Findings:
    """What an audit finds that heard these texts."""
    return find(head_of(spec, **head), hear(spec, texts))
