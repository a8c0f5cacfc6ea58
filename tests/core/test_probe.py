"""What a probe asks, and what the answers mean."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.probe import Heard, Needle, ProbePlan, ProbeResult, judge, waves

SMALL = ProbePlan(needles=2, copies=1, others=3, tokens=8)
NAMES = [wave.name for wave in waves(SMALL)]
plans = st.builds(ProbePlan, st.integers(1, 40), st.integers(1, 4), st.integers(1, 20), st.integers(1, 100))


def all_heard(**changed: Heard) -> list[Heard]:
    """Every needle's answer in every wave: the same, but for these by `wave index_needle`."""
    return [
        changed.get(f"at{wave}_{needle}", Heard(NAMES[wave], needle, f"answer {needle}", (-0.5, -0.25)))
        for wave, needle in product(range(5), range(2))
    ]


@given(plans)
def test_what_is_asked(plan: ProbePlan) -> None:
    """Each needle is asked alone twice, in a small batch and in two large ones, always in the same words."""
    schedule = waves(plan)
    large = plan.needles * plan.copies + plan.others
    sizes = [[len(batch) for batch in wave.batches] for wave in schedule]
    assert [[1] * plan.needles, [1] * plan.needles, [3] * plan.needles, [large], [large]] == sizes
    assert [0, 0, 0, 1, 1] == [wave.salt for wave in schedule]
    for wave, copies in zip(schedule, (1, 1, 1, plan.copies, plan.copies), strict=True):
        asked = [shot for batch in wave.batches for shot in batch if shot.needle is not None]
        assert plan.needles * copies == len(asked)
        assert plan.needles == len({(shot.prompt, shot.needle, shot.tokens) for shot in asked})


@given(plans)
def test_the_same_every_time(plan: ProbePlan) -> None:
    """Two probes with one plan ask the same, so that their results compare."""
    assert waves(plan) == waves(plan)


def test_others_are_of_many_lengths() -> None:
    """A large batch has requests that end before the needles, and some that go on after them."""
    batch = waves(ProbePlan())[-1].batches[0]
    tokens = {shot.tokens for shot in batch if shot.needle is None}
    assert min(tokens) < ProbePlan().tokens < max(tokens)
    assert len({len(shot.prompt) for shot in batch}) > 5


def test_all_the_same() -> None:
    """One text and one sequence of logprobs for each prompt: deterministic."""
    result = judge(SMALL, all_heard())
    assert "deterministic" == result.verdict
    assert "10 answers to 2 prompts, alone and in batches: one answer each" == result.reason
    assert [(5, 1, 1, None, ())] * 2 == [
        (needle.answers, needle.texts, needle.scores, needle.divergence, needle.waves)
        for needle in result.needles
    ]


def test_another_text() -> None:
    """A text that differs in a batch: not deterministic, with the wave and the first difference."""
    result = judge(SMALL, all_heard(at3_1=Heard(NAMES[3], 1, "answer two", (-0.5, -0.25))))
    assert "not deterministic" == result.verdict
    assert "1 of 2 prompts have more than one text, the first difference after 7 characters" == result.reason
    assert Needle(result.needles[1].prompt, 5, 2, 1, 7, (NAMES[3],)) == result.needles[1]
    assert result.needles[0].is_same


def test_other_logprobs() -> None:
    """The same text with other logprobs hangs by a thread: not deterministic."""
    result = judge(SMALL, all_heard(at2_0=Heard(NAMES[2], 0, "answer 0", (-0.5, -0.2500001))))
    assert "not deterministic" == result.verdict
    assert "logprobs of 1 of 2 prompts depend on the batch, though no text does so far" == result.reason


def test_without_logprobs() -> None:
    """A server that gives none is judged by its texts."""
    texts = [Heard(each.wave, each.needle, each.text) for each in all_heard()]
    result = judge(SMALL, texts)
    assert ("deterministic", [None, None]) == (result.verdict, [needle.scores for needle in result.needles])


@pytest.mark.parametrize(
    ("heard", "detail", "reason"),
    [
        (all_heard()[:-1], "status 429", "1 answers are missing: status 429"),
        ([], "unreachable: no", "10 answers are missing: unreachable: no"),
        (
            [Heard(name, at, "") for name in NAMES for at in (0, 1)],
            "",
            "10 answers are missing: the model says",
        ),
    ],
)
def test_inconclusive(heard: list[Heard], detail: str, reason: str) -> None:
    """Answers that are missing, or all empty, prove nothing."""
    result = judge(SMALL, heard, detail)
    assert "inconclusive" == result.verdict
    assert result.reason.startswith(reason)


def test_a_difference_outweighs_what_is_missing() -> None:
    """Two different answers are proof enough, whatever else did not come."""
    heard = all_heard(at1_0=Heard(NAMES[1], 0, "other"))[:-1]
    assert "not deterministic" == judge(SMALL, heard).verdict


@given(st.lists(st.sampled_from("ab"), min_size=5, max_size=5), st.permutations(range(5)))
def test_it_does_not_matter_which_differs(texts: list[str], order: list[int]) -> None:
    """The verdict is the same in whatever order the answers came."""
    heard = [Heard(NAMES[at], 0, text) for at, text in enumerate(texts)]
    plan = ProbePlan(needles=1, copies=1, others=1)
    expected = "deterministic" if len(set(texts)) == 1 else "not deterministic"
    assert expected == judge(plan, [heard[at] for at in order]).verdict


def test_nothing_asked_is_nothing_proved() -> None:
    """A result without needles is no proof."""
    assert "inconclusive" == ProbeResult(()).verdict
