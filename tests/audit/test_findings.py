"""What is made of answers, and what is recommended."""

from dataclasses import replace

import pytest

from gateway.audit.find.advice import advise, cautions, check_passes
from gateway.audit.find.findings import find
from gateway.audit.heard import Heard, Missed
from gateway.audit.spec import ALONE, APART, KINDS, MIXED, TOGETHER
from gateway.core.ballot import Extracted, Sample
from tests.audit.hearing import findings, head_of, hear, spec_of

SAME = ["a"]


def replace_reply(sample: Sample, finish: str) -> Sample:
    return replace(sample, reply=sample.reply._replace(finish=finish))


HALF = ["a", "b"]  # turn by turn


def test_everything_the_same() -> None:
    """Agreement 1, an interval that is not, one sample enough."""
    found = findings(spec_of(12), {ALONE: [SAME] * 12, APART: [SAME] * 12})
    assert found.headline is not None
    assert found.headline.answer is not None
    assert (1.0, 12) == (found.headline.answer.value, found.headline.answer.prompts)
    assert pytest.approx(0.7575, abs=1e-3) == found.headline.answer.low
    assert () == found.examples
    assert () == found.curve
    advice = advise(found)
    assert advice.chosen is not None
    assert "single" == advice.chosen.policy.name
    assert "vote: {policy: single}" == advice.settings
    assert any("may be as low as 0.758" in line for line in advice.said)


def test_the_prompt_is_the_unit() -> None:
    """A prompt with more copies weighs no more, and more copies make no interval narrower than prompts allow."""
    texts = {ALONE: [SAME] * 10, APART: [SAME] * 5 + [HALF] * 5}
    few, many = findings(spec_of(10, copies=6), texts), findings(spec_of(10, copies=60), texts)
    assert few.headline is not None
    assert many.headline is not None
    assert few.headline.text is not None
    assert many.headline.text is not None
    assert pytest.approx(0.5 + 0.5 * 6 / 15) == few.headline.text.value
    assert pytest.approx(0.5 + 0.5 * (2 * 435) / 1770) == many.headline.text.value
    assert many.headline.text.high - many.headline.text.low > 0.2


def test_copies_together_are_not_independent() -> None:
    """Copies that agree within their round and not with the next: the headline and the policies show it."""
    spec = spec_of(20, kinds=KINDS)
    texts = {
        ALONE: [SAME] * 20,
        TOGETHER: [SAME] * 20,
        MIXED: [["a", "a", "a", "b", "b", "b"]] * 20,
        APART: [HALF] * 20,
    }
    found = findings(spec, texts)
    mixed = next(each for each in found.conditions if each.kind == MIXED)
    assert mixed.text is not None
    assert mixed.next_text is not None
    assert 1.0 == mixed.text.value
    assert pytest.approx(1 / 3) == mixed.next_text.value
    assert not mixed.is_independent
    by_policy = {(each.name, each.spread): each.text.value for each in found.policies}
    assert pytest.approx(6 / 15) == by_policy["single", APART]
    assert pytest.approx(1 / 3) == by_policy["majority", MIXED]
    assert 1.0 == by_policy["serial", ALONE]
    assert found.headline is not None
    assert found.headline.text is not None
    assert pytest.approx(6 / 15) == found.headline.text.value


def test_total_agreement() -> None:
    """TARr@N over all copies is the share of prompts with one text; for fewer it is their draws'."""
    found = findings(spec_of(4), {ALONE: [SAME] * 4, APART: [SAME, SAME, SAME, ["a"] * 5 + ["b"]]})
    assert found.headline is not None
    tars = {tar.number: tar.text.value for tar in found.headline.tar}
    assert {2: (3 + 10 / 15) / 4, 3: (3 + 10 / 20) / 4, 5: (3 + 1 / 6) / 4, 6: 3 / 4} == pytest.approx(tars)


def test_where_texts_part() -> None:
    """The curve falls where pairs part, prompts weighing alike, and examples come with their first difference."""
    found = findings(spec_of(2), {ALONE: [["abcd"], SAME], APART: [["abcd", "abXd"], SAME]})
    curve = dict(found.curve)
    assert 1.0 == curve[0] == curve[2]
    assert pytest.approx(1 - (9 / 15) / 2) == curve[3]
    (example,) = found.examples
    assert (1, 2) == (example.number, example.divergence)
    assert ["abcd", "abXd"] == [variant.text for variant in example.variants]
    assert (("alone", 3), ("apart @4", 3)) == example.variants[0].copies
    assert [2, None] == [prompt.divergence for prompt in found.prompts]


def test_prefix_and_replicas() -> None:
    """The first answer alone has a cold prefix; odd turns went to the other replica."""
    found = findings(spec_of(2), {ALONE: [["cold", "a", "a"], SAME], APART: [HALF, HALF]})
    assert found.prefix_changed is not None
    assert found.prefix_warm is not None
    assert (0.5, 1.0) == (found.prefix_changed.value, found.prefix_warm.value)
    assert found.replicas_within is not None
    assert found.replicas_between is not None
    assert (1.0, 0.0) == (found.replicas_within.value, found.replicas_between.value)


def test_answers_that_cannot_be_read() -> None:
    """They agree with nothing, are counted, and are told of."""
    spec = spec_of(1)
    outcomes = [
        replace(each, sample=replace(each.sample, extracted=Extracted(None)))
        for each in hear(spec, {ALONE: [SAME], APART: [SAME]})
        if isinstance(each, Heard)
    ]
    found = find(head_of(spec), outcomes)
    assert found.headline is not None
    assert found.headline.answer is not None
    assert found.headline.text is not None
    assert (0.0, 1.0) == (found.headline.answer.value, found.headline.text.value)
    assert any("6 of 6 answers of apart @4 could not be read" in note for note in cautions(found))


def test_what_is_late_is_not_together() -> None:
    """A copy that was sent again, since the server was busy, did not share the others' batch."""
    spec = spec_of(1, kinds=(TOGETHER,))
    outcomes = hear(spec, {TOGETHER: [["a", "a", "a", "b"]]})
    late = [replace(each, late=each.shot.copy == 3) for each in outcomes if isinstance(each, Heard)]
    (condition,) = find(head_of(spec), late).conditions
    assert condition.text is not None
    assert (1.0, 3) == (condition.text.value, condition.answers)


def test_misses() -> None:
    """What had no answer is counted and told with the server's words, and makes no figure."""
    spec = spec_of(2)
    outcomes = hear(spec, {ALONE: [SAME] * 2, APART: [SAME] * 2})
    outcomes[-1] = Missed(outcomes[-1].shot, outcomes[-1].launch, "status 500: oh")
    found = find(head_of(spec), outcomes)
    assert (17, 1, True) == (found.heard, found.missed, found.is_complete)
    assert "1 requests had no answer; the last one: status 500: oh" in cautions(found)


def test_nothing_heard() -> None:
    """No answers: no figure, no recommendation, and a check that does not pass."""
    found = find(head_of(spec_of(2)), [])
    assert found.headline is None
    assert not found.is_complete
    assert ("Too few answers to recommend anything.",) == advise(found).said
    assert not check_passes(found.headline, 0.0)


@pytest.mark.parametrize(
    ("alone", "apart", "target", "settings"),
    [
        (SAME, SAME, None, "vote: {policy: single}"),
        (SAME, ["a"] * 5 + ["b"], 0.95, 'vote: {policy: majority, spread: "staggered:1s", salt: on}'),
        (SAME, HALF, 0.99, "vote: {policy: serial}   # needs an upstream with `lane: reference`"),
        (["a", "b", "c"], HALF, 0.99,
         "vote: {policy: majority}   # and `lane: reference` on a batch-invariant upstream"),
        (["a", "b", "c"], HALF, 0.3, "vote: {policy: single}"),
    ],
)  # fmt: skip
def test_the_cheapest_that_is_enough(
    alone: list[str], apart: list[str], target: float | None, settings: str
) -> None:
    """One sample where it will do, a vote where that does, one at a time where neither, else what pins can do."""
    found = findings(spec_of(20), {ALONE: [alone] * 20, APART: [apart] * 20})
    assert settings == advise(found, target).settings


def test_what_one_at_a_time_costs() -> None:
    """Server time: where four are in flight and take as long as one alone, one alone costs four."""
    found = findings(spec_of(3), {ALONE: [SAME] * 3, APART: [SAME] * 3})
    costs = {each.policy.name: each.cost for each in advise(found).priced}
    assert {"single": 1.0, "majority": 2.0, "strict": 3.0, "serial": 4.0} == costs


@pytest.mark.parametrize(
    ("changes", "head", "said"),
    [
        ({}, {}, "Only 3 prompts"),
        ({}, {"engine": "openai"}, "The engine (openai) takes no cache_salt"),
        ({"temperature": 0.7}, {}, "Every copy has the same seed"),
        ({}, {"gateway": True}, "asked not to use its pins"),
        ({}, {"gateway": True, "pins": True}, "same by its making"),
    ],
)  # fmt: skip
def test_what_a_reader_is_warned_of(changes: dict[str, float], head: dict[str, object], said: str) -> None:
    """Each circumstance that makes a figure mean less is said."""
    found = findings(spec_of(3, **changes), {ALONE: [SAME] * 3, APART: [SAME] * 3}, **head)
    assert any(said in note for note in cautions(found))


def test_several_texts_alone_are_told_of() -> None:
    """Where one at a time does not give one text, the batch is not the whole story, or the audit was not alone."""
    found = findings(spec_of(3), {ALONE: [["a", "b", "a"]] * 3, APART: [SAME] * 3})
    assert any("Asked one at a time there were several texts" in note for note in cautions(found))


def test_answers_that_were_cut_are_told_of() -> None:
    """Where most answers end at their length, the figure is of their beginnings."""
    spec = spec_of(1)
    cut = [
        replace(each, sample=replace_reply(each.sample, "length"))
        for each in hear(spec, {ALONE: [SAME], APART: [SAME]})
        if isinstance(each, Heard)
    ]
    assert any(
        "6 of 6 answers of apart @4 were cut by their length" in note
        for note in cautions(find(head_of(spec), cut))
    )


def test_a_load_that_was_not_reached_is_told() -> None:
    """Where one request was in flight instead of four, the figure is not one under load."""
    spec = spec_of(3)
    found = find(head_of(spec), hear(spec, {ALONE: [SAME] * 3, APART: [SAME] * 3}, in_flight=1))
    assert any("apart @4: only 1 requests were in flight" in note for note in cautions(found))
