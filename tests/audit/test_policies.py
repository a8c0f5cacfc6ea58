"""Policies tried on the answers that were heard: against all splits, and against independent rounds."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, permutations, product

import pytest

from gateway.audit.find.policies import candidates, on_copies_apart, on_rounds_together, one_at_a_time
from gateway.audit.questions import plan_of
from gateway.core.ballot import Extracted, Reply, Sample
from gateway.core.policy import PRESETS, Policy
from gateway.core.replay import replay
from tests.audit.hearing import spec_of

SPEC = spec_of(1)
MAJORITY = PRESETS["majority"]


def samples(texts: Sequence[str]) -> list[Sample]:
    return [Sample(at, Reply(text), extracted=Extracted(text)) for at, text in enumerate(texts)]


def verdict(policy: Policy, texts: Sequence[str]) -> str | None:
    return replay(plan_of(SPEC, SPEC.prompts[0], policy), samples(texts)).text


@pytest.mark.parametrize(
    ("copies", "names"),
    [
        (1, []),
        (2, ["single"]),
        (6, ["single", "majority", "strict"]),
        (10, ["single", "majority", "majority, k=5", "strict"]),
        (30, ["single", "majority", *(f"majority, k={k}" for k in (5, 7, 9, 11, 13)), "strict", "reason"]),
    ],
)
def test_a_policy_of_k_needs_twice_as_many(copies: int, names: list[str]) -> None:
    """Two rounds on samples that they do not share."""
    assert names == [policy.name for policy in candidates(copies)]


@pytest.mark.parametrize("texts", ["aaaaab", "aaabbb", "aabbcc", "abcdef", "aaaabb"])
def test_against_every_split(texts: str) -> None:
    """Drawn splits give what all of them do, within what 100 draws can be off (five standard errors)."""
    found = on_copies_apart(SPEC, MAJORITY, {0: samples(texts)}, {})
    assert found is not None
    same, splits = 0, 0
    for first in combinations(range(6), 3):
        second = [at for at in range(6) if at not in first]
        for one, other in product(permutations(first), permutations(second)):
            splits += 1
            same += verdict(MAJORITY, [texts[at] for at in one]) == verdict(
                MAJORITY, [texts[at] for at in other]
            )
    share = same / splits
    assert abs(found.text.value - share) <= 5 * (share * (1 - share) / 100) ** 0.5 + 1e-9


@pytest.mark.parametrize(
    "chances", [(Fraction(3, 4), Fraction(1, 4)), (Fraction(1, 2),) * 2, (Fraction(1, 3),) * 3]
)
def test_splits_are_unbiased(chances: Sequence[Fraction]) -> None:
    """Over all sets of six independent samples, splits give the chance that two fresh rounds agree. Exact."""
    letters = "abc"[: len(chances)]
    chance_of = dict(zip(letters, chances, strict=True))

    def chance(texts: Sequence[str]) -> Fraction:
        made = Fraction(1)
        for text in texts:
            made *= chance_of[text]
        return made

    verdicts = {texts: verdict(MAJORITY, texts) for texts in product(letters, repeat=3)}
    wins = {
        answer: sum(chance(texts) for texts, won in verdicts.items() if won == answer) for answer in letters
    }
    fresh = sum(each * each for each in wins.values())
    # By symmetry one split stands for all.
    split = sum(
        chance(heard) * (verdicts[heard[:3]] == verdicts[heard[3:]]) for heard in product(letters, repeat=6)
    )
    assert fresh == split


def test_what_a_round_costs() -> None:
    """Two that agree end a vote of three; a strict vote asks all three, and the reference lane where they differ."""
    unanimous, divided = samples("aaaaaa"), samples("ababab")
    lane = {0: samples("rr"), 1: samples("rr")}
    majority = on_copies_apart(spec_of(2), MAJORITY, {0: unanimous, 1: unanimous}, {})
    strict = on_copies_apart(
        spec_of(2), PRESETS["strict"], {0: samples("aaaaaa"), 1: samples("abcdef")}, lane
    )
    assert majority is not None
    assert strict is not None
    assert (2.0, 0.0) == (majority.samples, majority.reference)
    assert (3.0, 0.5) == (strict.samples, strict.reference)
    assert 1.0 == strict.text.value
    single = on_copies_apart(SPEC, PRESETS["single"], {0: divided}, {})
    assert single is not None
    assert pytest.approx(6 / 15) == single.text.value


def test_too_few_samples_give_no_figure() -> None:
    """A prompt with less than 2 k counts for nothing, and strict needs two answers of its lane."""
    assert on_copies_apart(SPEC, MAJORITY, {0: samples("aaaaa")}, {}) is None
    assert on_copies_apart(SPEC, PRESETS["strict"], {0: samples("aaaaaa")}, {0: samples("r")}) is None
    assert one_at_a_time({0: samples("a")}) is None


def test_copies_sent_together_are_compared_by_round() -> None:
    """Rounds that are each unanimous for something else are not the same, though nearly all of their copies agree."""
    found = on_rounds_together(SPEC, MAJORITY, {0: [samples("aaa"), samples("bbb"), samples("aaa")]})
    assert found is not None
    assert pytest.approx(1 / 3) == found.text.value
    assert 2.0 == found.samples


def test_a_round_that_is_not_whole_is_no_round() -> None:
    """Two copies of three say nothing of a vote of three."""
    assert on_rounds_together(SPEC, MAJORITY, {0: [samples("aaa"), samples("bb")]}) is None
