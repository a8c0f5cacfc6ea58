"""How reproducible each policy's answer would be: its rounds, held again and again on the answers that were heard.

Two rounds on samples that have none in common are as two rounds on two days, if the samples were independent. So
copies apart are drawn from, and of those sent together only whole rounds are compared with whole rounds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean

from gateway.audit.questions import plan_of
from gateway.audit.spec import ALONE, APART, MIXED, Spec
from gateway.calling.bootstrap import Rate, rate
from gateway.core.ballot import Sample, exact_text
from gateway.core.plan import Plan
from gateway.core.policy import PRESETS, Policy
from gateway.core.replay import Replayed, replay
from gateway.core.reproducibility import all_same

_SPLITS = 100  # pairs of rounds of one prompt
_LARGER = (5, 7, 9, 11, 13)

ByPrompt = Mapping[int, Sequence[Sample]]


@dataclass(frozen=True, slots=True)
class PolicyFinding:
    """How often two independent rounds of a policy come to the same, and what one costs.

    Attributes:
        name: of the policy.
        spread: how the copies it was tried on were sent: apart | mixed (k at once among others) | alone.
        k: its samples at most.
        text: the same text to the last byte.
        answer: the same answer by the rule of the audit.
        samples: on the fast lane, a round, on average.
        reference: on the reference lane.
    """

    name: str
    spread: str
    k: int
    text: Rate
    answer: Rate
    samples: float
    reference: float


def candidates(copies: int) -> list[Policy]:
    """The policies that so many copies of a prompt can tell of."""
    majority = PRESETS["majority"]
    larger = [majority.override({"k": k}, f"majority, k={k}") for k in _LARGER]
    tried = [PRESETS["single"], majority, *larger, PRESETS["strict"], PRESETS["reason"]]
    return [policy for policy in tried if 2 * policy.most <= copies]


def on_copies_apart(spec: Spec, policy: Policy, apart: ByPrompt, lane: ByPrompt) -> PolicyFinding | None:
    """A policy's rounds on copies apart, with these answers of its reference lane; None where there are too few."""
    needs_reference = policy.on_disagreement == "reference"
    prompts = [
        prompt
        for prompt, samples in sorted(apart.items())
        if len(samples) >= 2 * policy.most and (not needs_reference or len(lane.get(prompt, ())) >= 2)
    ]
    plans = {prompt: plan_of(spec, spec.prompts[prompt], policy) for prompt in prompts}
    found = [_pairs(plans[prompt], apart[prompt], lane.get(prompt, ())) for prompt in prompts]
    return _finding(policy.name, APART, policy.most, found)


def on_rounds_together(
    spec: Spec, policy: Policy, rounds: Mapping[int, Sequence[Sequence[Sample]]]
) -> PolicyFinding | None:
    """A policy's rounds on copies that were sent at once, each round on its own."""
    found = []
    for prompt, sent in sorted(rounds.items()):
        plan = plan_of(spec, spec.prompts[prompt], policy)
        held = [replay(plan, samples) for samples in sent if len(samples) >= policy.most]
        if len(held) > 1:
            found.append(_among(held))
    return _finding(policy.name, MIXED, policy.most, found)


def one_at_a_time(alone: ByPrompt) -> PolicyFinding | None:
    """`serial`: one sample, with nothing else in flight."""
    found = [_Pairs(*_of_one(samples), 0.0, 1.0) for _, samples in sorted(alone.items()) if len(samples) > 1]
    return _finding("serial", ALONE, 1, found)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """One prompt: the share of pairs of rounds that are the same, and the samples of a round."""

    text: float
    answer: float
    samples: float
    reference: float


def _finding(name: str, spread: str, k: int, found: Sequence[_Pairs]) -> PolicyFinding | None:
    text, answer = rate(each.text for each in found), rate(each.answer for each in found)
    if text is None or answer is None:
        return None
    samples, reference = fmean(each.samples for each in found), fmean(each.reference for each in found)
    return PolicyFinding(name, spread, k, text, answer, samples, reference)


def _pairs(plan: Plan, fast: Sequence[Sample], reference: Sequence[Sample]) -> _Pairs:
    if plan.policy.most == 1:
        return _Pairs(*_of_one(fast), 1.0, 0.0)
    if len({exact_text(sample.reply) for sample in (*fast, *reference)}) == 1:
        return _among([replay(plan, fast, reference)] * 2)
    dice = Random(int.from_bytes(plan.question[:7]))  # noqa: S311  no secret: the same figures each time
    return _mean([_split(plan, fast, reference, dice) for _ in range(_SPLITS)])


def _split(plan: Plan, fast: Sequence[Sample], reference: Sequence[Sample], dice: Random) -> _Pairs:
    size = plan.policy.most
    drawn, lane = dice.sample(fast, 2 * size), dice.sample(reference, len(reference))
    return _among([replay(plan, drawn[:size], lane[:1]), replay(plan, drawn[size:], lane[1:])])


def _among(held: Sequence[Replayed]) -> _Pairs:
    """All pairs of these rounds. There are at least two."""
    text, answer = (
        all_same([each.text for each in held]),
        all_same([each.answer for each in held]),
    )
    return _Pairs(
        text or 0.0,
        answer or 0.0,
        fmean(each.samples for each in held),
        fmean(each.reference for each in held),
    )


def _of_one(samples: Sequence[Sample]) -> tuple[float, float]:
    """One sample against another: exact, no draws."""
    texts = all_same([exact_text(sample.reply) for sample in samples])
    answers = all_same([sample.extracted.answer if sample.extracted else None for sample in samples])
    return texts or 0.0, answers or 0.0


def _mean(pairs: Sequence[_Pairs]) -> _Pairs:
    return _Pairs(*(fmean(getattr(each, name) for each in pairs) for name in _Pairs.__slots__))
