"""In which order is asked, and what together."""

from collections import Counter
from itertools import pairwise

import pytest

from gateway.audit.schedule import Phase, schedule
from gateway.audit.spec import ALONE, APART, KINDS, LANE, MIXED, TOGETHER, Spec
from tests.audit.hearing import spec_of


def phases(spec: Spec) -> dict[tuple[str, int], Phase]:
    return {(phase.kind, phase.concurrency): phase for phase in schedule(spec)}


@pytest.mark.parametrize(
    ("spec", "requests"),
    [
        (spec_of(5, kinds=KINDS), {(ALONE, 1): 15, (TOGETHER, 4): 20, (MIXED, 4): 45, (APART, 4): 30}),
        (spec_of(2, kinds=KINDS, concurrencies=(1, 2, 8), copies=3),
         {(ALONE, 1): 6, (TOGETHER, 2): 4, (TOGETHER, 8): 16, (MIXED, 8): 18, (APART, 2): 6, (APART, 8): 6}),
        (spec_of(2, kinds=KINDS, concurrencies=(1,)), {(ALONE, 1): 6, (APART, 1): 12}),
        (spec_of(2, kinds=(APART,)), {(APART, 4): 12}),
        (spec_of(2, kinds=KINDS, concurrencies=(2,)),
         {(ALONE, 1): 6, (TOGETHER, 2): 4, (MIXED, 2): 12, (APART, 2): 12}),
        (spec_of(2, kinds=(APART,), has_lane=True), {(LANE, 1): 6, (APART, 4): 12}),
    ],
)  # fmt: skip
def test_how_many(spec: Spec, requests: dict[tuple[str, int], int]) -> None:
    """Each phase asks what its flags say, for every prompt."""
    assert requests == {key: phase.requests for key, phase in phases(spec).items()}


def test_nothing_is_asked_twice() -> None:
    """A shot names one request."""
    shots = [shot for phase in schedule(spec_of(5, kinds=KINDS)) for group in phase.groups for shot in group]
    assert len(set(shots)) == len(shots)


def test_apart_goes_round_all_prompts_before_it_repeats_one() -> None:
    """Between two copies of a prompt lie others, and each round has an order of its own."""
    prompts = [group[0].prompt for group in phases(spec_of(8))[APART, 4].groups]
    rounds = [tuple(prompts[at : at + 8]) for at in range(0, len(prompts), 8)]
    assert all(sorted(each) == list(range(8)) for each in rounds)
    assert len(rounds) == len(set(rounds))


def test_together_sends_copies_of_one_prompt() -> None:
    """A group is as many copies as may be in flight, all of one prompt."""
    for group in phases(spec_of(3, kinds=(TOGETHER,)))[TOGETHER, 4].groups:
        assert {4} == {len(group)}
        assert 1 == len({shot.prompt for shot in group})


def test_salts() -> None:
    """Copies apart share no prefix cache, those of a round do, and alone all but the first find theirs warm."""
    salts = {key: Counter(shot.salt for group in phase.groups for shot in group)
             for key, phase in phases(spec_of(1, kinds=KINDS)).items()}  # fmt: skip
    assert [1] * 6 == list(salts[APART, 4].values())
    assert [3] * 3 == list(salts[MIXED, 4].values())
    assert [4] == list(salts[TOGETHER, 4].values())
    assert [3] == list(salts[ALONE, 1].values())
    assert all(not one.keys() & other.keys() for one, other in pairwise(salts.values()))
