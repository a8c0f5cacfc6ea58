"""What the answers of an audit say. Every rate is over prompts, with its interval."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.audit.find.conditions import Condition, condition
from gateway.audit.find.copies import ByPrompt, by_prompt, rounds_of, texts_of
from gateway.audit.find.differences import Example, PromptFinding, curve, examples, prompt
from gateway.audit.find.policies import (
    PolicyFinding,
    candidates,
    on_copies_apart,
    on_rounds_together,
    one_at_a_time,
)
from gateway.audit.find.through import Through, through
from gateway.audit.heard import Heard, Missed, Outcome
from gateway.audit.journal import Head, whole_groups
from gateway.audit.schedule import schedule
from gateway.audit.spec import ALONE, APART, LANE, MIXED, Spec
from gateway.calling.bootstrap import Rate, rate
from gateway.core.ballot import Sample
from gateway.core.policy import PRESETS
from gateway.core.reproducibility import all_same, same_across, within_and_between


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything. `headline` is of two copies apart at the highest concurrency that was tried apart."""

    head: Head
    planned: int
    heard: int
    missed: int
    headline: Condition | None
    conditions: tuple[Condition, ...]
    policies: tuple[PolicyFinding, ...]
    prefix_changed: Rate | None  # asked alone: the first answer and later ones have the same text
    prefix_warm: Rate | None  # and two later ones
    replicas_within: Rate | None  # text, copies apart on one replica
    replicas_between: Rate | None
    curve: tuple[tuple[int, float], ...]  # characters, share of pairs apart that are still the same there
    prompts: tuple[PromptFinding, ...]
    examples: tuple[Example, ...]
    through: Through | None
    last_miss: str

    @property
    def is_complete(self) -> bool:
        """Whether everything planned was asked."""
        return self.heard + self.missed >= self.planned


def find(head: Head, outcomes: Sequence[Outcome]) -> Findings:
    """What these outcomes mean, whole or not."""
    spec, phases = head.spec, schedule(head.spec)
    heard = whole_groups((group for phase in phases for group in phase.groups), outcomes)
    misses = {outcome.shot: outcome for outcome in outcomes if isinstance(outcome, Missed)}
    by_phase = {(phase.kind, phase.concurrency): by_prompt(phase, heard) for phase in phases}
    alone = by_phase.get((ALONE, 1), {})
    conditions = tuple(
        condition(phase, by_phase[phase.kind, phase.concurrency], alone, misses) for phase in phases
    )
    apart = by_phase.get((APART, max(spec.loaded)), {})
    lasting = [each for each in outcomes if isinstance(each, Missed) and each.shot not in heard]
    return Findings(
        head=head,
        planned=sum(phase.requests for phase in phases),
        heard=len(heard),
        missed=len({each.shot for each in lasting}),
        headline=next((each for each in reversed(conditions) if each.kind == APART and each.answer), None),
        conditions=conditions,
        policies=tuple(
            _policies(spec, apart, by_phase.get((LANE, 1), alone), by_phase.get((MIXED, spec.highest), {}))
        ),
        **_prefix(alone),
        **_replicas(apart),
        curve=curve(apart),
        prompts=tuple(prompt(spec, number, apart, by_phase) for number in range(len(spec.prompts))),
        examples=examples(spec, by_phase),
        through=through([each for each in heard.values() if each.told]),
        last_miss=lasting[-1].detail if lasting else "",
    )


def _policies(spec: Spec, apart: ByPrompt, lane: ByPrompt, mixed: ByPrompt) -> Iterable[PolicyFinding]:
    fast, reference = _samples(apart), _samples(lane)
    for policy in candidates(max(map(len, fast.values()), default=0)):
        if found := on_copies_apart(spec, policy, fast, reference):
            yield found
    rounds = {
        prompt: [[each.sample for each in sent] for sent in rounds_of(copies)]
        for prompt, copies in mixed.items()
    }
    if found := on_rounds_together(spec, PRESETS["majority"], rounds):
        yield found
    if found := one_at_a_time(reference):
        yield found


def _samples(answers: ByPrompt) -> dict[int, list[Sample]]:
    return {prompt: [each.sample for each in copies] for prompt, copies in answers.items()}


def _prefix(alone: ByPrompt) -> dict[str, Rate | None]:
    """Of what was asked alone, the first answer, whose prefix was not cached, and the later ones."""
    cold = {prompt: [each for each in copies if not each.shot.round] for prompt, copies in alone.items()}
    warm = {prompt: [each for each in copies if each.shot.round] for prompt, copies in alone.items()}
    return {
        "prefix_changed": rate(same_across(texts_of(cold[each]), texts_of(warm[each])) for each in alone),
        "prefix_warm": rate(all_same(texts_of(each)) for each in warm.values()),
    }


def _replicas(apart: ByPrompt) -> dict[str, Rate | None]:
    """Copies apart, by the replica that answered."""
    split = []
    for copies in apart.values():
        by_replica: dict[int, list[Heard]] = defaultdict(list)
        for each in copies:
            by_replica[each.replica].append(each)
        split.append(within_and_between([texts_of(each) for each in by_replica.values()]))
    return {
        "replicas_within": rate(within for within, between in split if between is not None),
        "replicas_between": rate(between for _, between in split),
    }
