"""What to do about it: the cheapest policy that is reproducible enough, what it costs, and how sure that is."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.audit.find.conditions import Condition
from gateway.audit.find.findings import Findings
from gateway.audit.find.policies import PolicyFinding
from gateway.audit.spec import ALONE, APART, LANE, MIXED
from gateway.calling.bootstrap import Rate

TARGET = 0.99
_FEW = 20  # prompts below which intervals are wide enough to be warned of
_REACHED = 0.6  # of the concurrency asked for


@dataclass(frozen=True, slots=True)
class Priced:
    """A policy and its cost, in answers of a single sample at the highest concurrency. None where it is not known."""

    policy: PolicyFinding
    cost: float | None


@dataclass(frozen=True, slots=True)
class Advice:
    """A recommendation. `settings` is YAML for the gateway."""

    target: float
    priced: tuple[Priced, ...]
    chosen: Priced | None
    said: tuple[str, ...]
    settings: str


def advise(findings: Findings, target: float | None = None) -> Advice:
    """The recommendation for a target share of answers that come out the same when asked again."""
    wanted = TARGET if target is None else target
    priced = tuple(Priced(policy, _cost(findings, policy)) for policy in findings.policies)
    enough = [each for each in priced if each.policy.answer.value >= wanted]
    chosen = min(enough, key=_expense, default=None)
    said = tuple(_reached(chosen, wanted) if chosen else _not_reached(priced, wanted))
    return Advice(wanted, priced, chosen, said, _settings(chosen))


def _expense(priced: Priced) -> tuple[bool, float]:
    """What needs no reference lane comes first: a lane costs more than its samples."""
    return priced.policy.reference > 0, float("inf") if priced.cost is None else priced.cost


def _cost(findings: Findings, policy: PolicyFinding) -> float | None:
    """Time of the server. Where c requests are in flight and take t seconds, one takes t / c of it."""
    loaded = next(
        (each for each in reversed(findings.conditions) if each.kind == APART and each.answers), None
    )
    alone = next((each for each in findings.conditions if each.kind in {LANE, ALONE} and each.answers), None)
    if not policy.reference:
        return policy.samples
    if loaded is None or alone is None or not loaded.seconds:
        return None
    return policy.samples + policy.reference * alone.seconds / (loaded.seconds / max(loaded.in_flight, 1))


def _reached(chosen: Priced, wanted: float) -> Iterator[str]:
    policy = chosen.policy
    cost = "" if chosen.cost is None else f", at {chosen.cost:.2g} times the cost of one sample"
    yield f"{title(policy)}: {spelled(policy.answer)} of answers come out the same when asked again{cost}."
    if policy.answer.low < wanted:
        yield (
            f"That reaches {wanted:g}, but its interval does not: with {policy.answer.prompts} prompts it may be as"
            f" low as {policy.answer.low:.3f}. More prompts say more."
        )
    if policy.name == "single":
        yield "A vote would not make it better. Keep `measure` on, to notice when that changes."
    elif policy.spread == APART:
        yield "This holds for copies that are spread in time: sent together they mostly repeat one another."


def _not_reached(priced: tuple[Priced, ...], wanted: float) -> Iterator[str]:
    if not priced:
        yield "Too few answers to recommend anything."
        return
    best = max(priced, key=lambda each: each.policy.answer.value).policy
    yield f"No policy reaches {wanted:g}. The best is {title(best)}: {spelled(best.answer)}."
    yield (
        "One answer for everybody, for as long as it is pinned, comes from the gateway's pins under any policy."
        " For the same answer after that, use a batch-invariant server as the reference lane (docs/lanes.md)."
    )


def _settings(chosen: Priced | None) -> str:
    if chosen is None:
        return "vote: {policy: majority}   # and `lane: reference` on a batch-invariant upstream"
    policy = chosen.policy
    if policy.name == "serial":
        return "vote: {policy: serial}   # needs an upstream with `lane: reference`"
    name = policy.name.partition(",")[0]
    k = f", k: {policy.k}" if "," in policy.name else ""
    spread = ', spread: "staggered:1s", salt: on' if policy.spread == APART and policy.k > 1 else ""
    return f"vote: {{policy: {name}{k}{spread}}}"


_SPREADS = {APART: "copies apart", MIXED: "copies together", ALONE: "one at a time"}


def title(policy: PolicyFinding) -> str:
    """A policy for people."""
    if policy.name == "single":
        return "single (one sample)"
    k = "" if "=" in policy.name or policy.k == 1 else f", k={policy.k}"
    return f"{policy.name}{k}, {_SPREADS[policy.spread]}"


def spelled(rate: Rate) -> str:
    """A share with its interval and the number of prompts."""
    return f"{rate.value:.3f} ({rate.low:.3f} to {rate.high:.3f}, {rate.prompts} prompts)"


def cautions(findings: Findings) -> list[str]:
    """What a reader has to know before trusting a figure."""
    return [*_of_the_run(findings), *_of_the_figures(findings)]


def _of_the_run(findings: Findings) -> Iterator[str]:
    head, spec = findings.head, findings.head.spec
    if not findings.is_complete:
        yield f"Not finished: {findings.heard} of {findings.planned} answers are there."
    if findings.missed:
        yield f"{findings.missed} requests had no answer; the last one: {findings.last_miss}"
    if head.gateway and head.pins:
        yield (
            "A gateway answered with what it has pinned, which is the same by its making: this is what clients see, and"
            " says nothing of the model. Without --pins the gateway is asked to vote anew; its upstream's own URL shows"
            " the model."
        )
    elif head.gateway:
        yield (
            "A gateway answered, and was asked not to use its pins (cache-control: no-store): the figures are of its"
            " votes made anew, each under its policy. Audit its upstream's own URL to see the model."
        )
    if spec.temperature > 0 and not spec.vary_seed:
        yield "Every copy has the same seed: this shows whether the server honours it. --vary-seed samples anew."
    if spec.salted and head.engine not in {"vllm", "sglang"}:
        yield (
            f"The engine ({head.engine}) takes no cache_salt: prefixes that were asked before may be cached in every"
            " phase, and cold means no more than first."
        )


def _of_the_figures(findings: Findings) -> Iterator[str]:
    spec = findings.head.spec
    if len(spec.prompts) < _FEW:
        yield f"Only {len(spec.prompts)} prompts: the prompt is the unit, and the intervals are wide."
    for each in findings.conditions:
        if each.answers and each.kind == APART and each.in_flight < _REACHED * each.concurrency:
            yield (
                f"{each.name}: only {each.in_flight:g} requests were in flight as a rule, for lack of prompts or for"
                " --rate. The server may do worse under load."
            )
    alone = next((each for each in findings.conditions if each.kind == ALONE), None)
    if alone is not None and alone.most_texts > 1:
        yield (
            "Asked one at a time there were several texts, too: either something else asks this server as well, and"
            " shares batches with the audit, or batches are not the only cause."
        )
    loaded = findings.headline
    if loaded is not None and loaded.cut * 2 > loaded.answers:
        yield (
            f"{loaded.cut} of {loaded.answers} answers of {loaded.name} were cut by their length (--max-tokens): what"
            " would have differed later was not seen."
        )
    if loaded is not None and loaded.spoiled:
        unread = f"{loaded.spoiled} of {loaded.answers} answers of {loaded.name} could not be read"
        yield f"{unread}, and agree with nothing."


def check_passes(headline: Condition | None, fail_under: float) -> bool:
    """Whether two copies apart have the same answer often enough. Without a figure nothing passes."""
    return headline is not None and headline.answer is not None and headline.answer.value >= fail_under
