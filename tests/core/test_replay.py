"""Rounds held on samples that are there."""

import pytest

from gateway.core.ballot import Extracted, Reply, Sample
from gateway.core.plan import Plan
from gateway.core.policy import PRESETS, Policy
from gateway.core.replay import Replayed, replay

MAJORITY, STRICT = PRESETS["majority"], PRESETS["strict"]


def samples(contents: str) -> list[Sample]:
    return [Sample(7, Reply(content)) for content in contents.split()]


def plan(policy: Policy, answer: str = "text") -> Plan:
    return Plan(policy.override({"answer": answer}), seed=1, greedy=True, question=b"q")


@pytest.mark.parametrize(
    ("policy", "fast", "reference", "expected"),
    [
        (PRESETS["single"], "a", "", Replayed("a", "a", 1, 0)),
        (MAJORITY, "a a b", "", Replayed("a", "a", 2, 0)),
        (MAJORITY, "a b b", "", Replayed("b", "b", 3, 0)),
        (MAJORITY.override({"stop": "all"}), "a a b", "", Replayed("a", "a", 3, 0)),
        (MAJORITY.override({"k": 5}), "a b b a b", "", Replayed("b", "b", 5, 0)),
        (STRICT, "a a a", "r", Replayed("a", "a", 3, 0)),
        (STRICT, "a a b", "r", Replayed("r", "r", 3, 1)),
        (PRESETS["serial"], "", "r", Replayed("r", "r", 0, 1)),
        (MAJORITY.override({"min_agreement": 1, "on_disagreement": "escalate:5"}),
         "a b a a a", "", Replayed("a", "a", 4, 0)),
        (PRESETS["reason"], "a a a a a", "", Replayed("a", "a", 4, 0)),
        (MAJORITY, "a", "", Replayed(None, None, 4, 0)),
    ],
)  # fmt: skip
def test_what_a_round_comes_to(policy: Policy, fast: str, reference: str, expected: Replayed) -> None:
    """The verdict and the samples that it took, the stop rule and the reference lane included."""
    assert expected == replay(plan(policy), samples(fast), samples(reference))


def test_answers_that_were_extracted_before_are_taken() -> None:
    """What was read elsewhere, or could not be read, is voted on as it is."""
    read = [
        Sample(0, Reply("x 1"), extracted=Extracted("1")),
        Sample(1, Reply("y 1"), extracted=Extracted("1")),
    ]
    found = replay(plan(MAJORITY, "number"), read)
    assert "1" == found.answer
    assert found.text in {"x 1", "y 1"}
    assert None is replay(plan(PRESETS["single"], "number"), [Sample(0, Reply("x"))]).answer


def test_the_order_of_samples_does_not_choose_between_equals() -> None:
    """Ties break by content, so every order of three different answers has the same winner."""
    assert 1 == len(
        {replay(plan(MAJORITY), samples(order)).text for order in ("a b c", "c b a", "b a c", "b c a")}
    )
