"""The consistency rate: over questions, bounded in memory."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.interval import wilson
from gateway.telemetry.consistency import Consistency, FieldAgreement, Pairs


def pairs(question: int, same: int, different: int, spread: str = "apart") -> Pairs:
    return Pairs("m", "majority", spread, question.to_bytes(32), same, different)


def q(number: int) -> int:
    """A question's digest, told apart by its first bytes."""
    return number << 200


def test_the_question_is_the_unit() -> None:
    """A question with a hundred pairs weighs as much as one with a single pair."""
    consistency = Consistency()
    for _ in range(50):
        consistency.note(pairs(q(1), 2, 0))
    consistency.note(pairs(q(2), 0, 1))
    (rate,) = consistency.rates()
    assert (0.5, 2, 100, 1) == (rate.rate, rate.questions, rate.same, rate.different)
    assert tuple(round(end, 4) for end in wilson(0.5, 2)) == rate.interval


def test_kinds_are_kept_apart() -> None:
    """Copies sent together never mix with copies apart in time."""
    consistency = Consistency()
    consistency.note(pairs(q(1), 1, 0, "together"))
    consistency.note(pairs(q(1), 0, 1, "apart"))
    assert [("apart", 0.0), ("together", 1.0)] == [(rate.spread, rate.rate) for rate in consistency.rates()]


def test_the_oldest_questions_are_forgotten() -> None:
    """Memory is bounded: the latest 4,096 questions count, however many there were."""
    consistency = Consistency()
    for number in range(5000):
        consistency.note(pairs(q(number), number >= 1000, number < 1000))
    (rate,) = consistency.rates()
    assert (4096, round(1 - 96 / 4096, 4)) == (rate.questions, rate.rate)
    kept = consistency.note(pairs(q(4999), 1, 0))
    assert (4096, 4000) == (len(kept.pairs), kept.agreement)


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1))
def test_the_rate_is_the_mean_of_the_shares(seen: list[tuple[int, bool]]) -> None:
    """Whatever the order of the pairs, the rate is the mean over questions of the share that agreed."""
    consistency = Consistency()
    for question, same in seen:
        kept = consistency.note(pairs(q(question), same, not same))
    shares = []
    for question in {question for question, _ in seen}:
        own = [same for asked, same in seen if asked == question]
        shares.append(sum(own) / len(own))
    assert [round(sum(shares) / len(shares), 4)] == [rate.rate for rate in consistency.rates()]
    assert (len(shares), round(sum(shares), 9)) == (len(kept.pairs), round(kept.agreement, 9))


def test_fields_are_bounded() -> None:
    """However many fields answers have, 64 of a model and policy are told apart, and those go on counting."""
    fields = FieldAgreement()
    for _ in range(2):
        fields.note("m", "p", [(f"/{number}", 0.5) for number in range(100)])
    (kind,) = fields.least()
    assert {f"/{number}": 0.5 for number in range(64)} == kind["fields"]
