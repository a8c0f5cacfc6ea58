"""Answers as statistics take them: by prompt, and in the rounds in which they were sent."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from gateway.audit.heard import Heard
from gateway.audit.schedule import Phase, Shot
from gateway.core.ballot import exact_text

ByPrompt = Mapping[int, Sequence[Heard]]


def by_prompt(phase: Phase, heard: Mapping[Shot, Heard]) -> ByPrompt:
    """A phase's answers by prompt, in order; those of a group that came late are not with their group any more."""
    found: dict[int, list[Heard]] = defaultdict(list)
    for group in phase.groups:
        for shot in group:
            came = heard.get(shot)
            if came is not None and not (came.late and len(group) > 1):
                found[shot.prompt].append(came)
    return dict(sorted(found.items()))


def rounds_of(copies: Sequence[Heard]) -> list[list[Heard]]:
    """The copies of a prompt by the time that they were sent."""
    rounds: dict[int, list[Heard]] = defaultdict(list)
    for each in copies:
        rounds[each.shot.round].append(each)
    return list(rounds.values())


def texts_of(copies: Sequence[Heard]) -> list[str]:
    """Exact texts: equal strings are copies."""
    return [exact_text(each.sample.reply) for each in copies]


def answers_of(copies: Sequence[Heard]) -> list[str | None]:
    """Canonical answers, None where there is none."""
    return [each.answer for each in copies]
