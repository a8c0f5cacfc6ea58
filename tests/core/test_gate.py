"""Which verdicts are a disagreement, and which may be pinned."""

import pytest

from gateway.core.ballot import Ballot, Reply, Sample
from gateway.core.gate import is_disagreement, refusal_to_pin
from gateway.core.policy import Policy
from gateway.core.vote import Verdict, decide


def verdict(*answers: str, finish: str = "stop", tokens: int = 7, quorum: int = 1) -> Verdict:
    """The verdict on these texts, all of which ended alike."""
    votes = [
        Ballot(Sample(index, Reply(answer, finish=finish, tokens=tokens)), answer, answer)
        for index, answer in enumerate(answers)
    ]
    return decide(votes, 3, quorum, b"question")


@pytest.mark.parametrize(
    ("finish", "refusal"),
    [
        ("stop", None),
        ("tool_calls", None),
        ("function_call", None),
        ("content_filter", "content_filter"),
        ("error", "error"),
        ("parse_error", "parse_error"),
        ("abort", "abort"),
    ],
)
def test_how_the_winner_ended(finish: str, refusal: str | None) -> None:
    """A winner that an engine or a filter broke off is not pinned, whatever `pin_truncated` says."""
    for pin_truncated in ("auto", "always", "never"):
        policy = Policy(pin_truncated=pin_truncated)
        assert refusal == refusal_to_pin(verdict("41", "41", finish=finish), policy, max_tokens=100)


@pytest.mark.parametrize(
    ("pin_truncated", "max_tokens", "tokens", "refusal"),
    [
        ("auto", 16, 16, None),  # the client's own limit: its choice
        ("auto", 16, 0, None),  # the engine counts nothing, and the client did set a limit
        ("auto", 16, 9, "truncated"),  # cut before the client's limit: by the context
        ("auto", None, 16, "truncated"),
        ("auto", None, 0, "truncated"),
        ("always", None, 16, None),
        ("always", 16, 9, None),
        ("never", 16, 16, "truncated"),
    ],
)
def test_truncated_answers(
    pin_truncated: str, max_tokens: int | None, tokens: int, refusal: str | None
) -> None:
    """An answer cut by the client's own limit is pinned, one cut by the context is not, unless told so."""
    cut = verdict("41", "41", finish="length", tokens=tokens)
    assert refusal == refusal_to_pin(cut, Policy(pin_truncated=pin_truncated), max_tokens)


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        (("41", "41", "41"), "unanimous"),
        (("41", "41", "42"), "majority"),
        (("41", "41", "42", "43"), "plurality"),
        (("41", "42", "43"), "tie"),
    ],
)
def test_disagreement_is_pinned(answers: tuple[str, ...], outcome: str) -> None:
    """A majority, a plurality and a tie are pinned like unanimity: one answer is the point."""
    settled = verdict(*answers)
    assert outcome == settled.outcome
    assert refusal_to_pin(settled, Policy(), None) is None


@pytest.mark.parametrize("finish", ["stop", "length", "content_filter"])
@pytest.mark.parametrize("pin_truncated", ["auto", "always", "never"])
def test_too_few_ballots(finish: str, pin_truncated: str) -> None:
    """A verdict below quorum is never pinned, and that is the reason given."""
    few = verdict("41", finish=finish, quorum=2)
    assert refusal_to_pin(few, Policy(pin_truncated=pin_truncated), 7) == "no_quorum"


@pytest.mark.parametrize(
    ("arbitration", "quorum", "refusal"),
    [
        ("none", 1, None),
        ("came", 1, None),
        ("came", 9, None),  # the vote came to nothing, and the reference lane has answered
        ("spoiled", 1, "reference"),
        ("failed", 1, "reference"),
        ("failed", 9, "reference"),
        ("none", 9, "no_quorum"),
    ],
)
def test_after_an_arbitration(arbitration: str, quorum: int, refusal: str | None) -> None:
    """A reference sample with an answer is pinned whatever the vote came to, what stands in for it never."""
    arbitrated = verdict("41", "42", quorum=quorum)._replace(arbitration=arbitration)
    assert refusal == refusal_to_pin(arbitrated, Policy(), None)


def test_a_cut_reference_sample() -> None:
    """How the reference sample ended counts as for any winner."""
    cut = verdict("41", finish="length")._replace(arbitration="came")
    assert refusal_to_pin(cut, Policy(), None) == "truncated"


@pytest.mark.parametrize(
    ("answers", "quorum", "min_agreement", "disagreement"),
    [
        (("41", "41"), 2, 1.0, False),
        (("41", "41", "42"), 2, 2 / 3, False),
        (("41", "41", "42"), 2, 0.67, False),  # as it is told, in two decimals
        (("41", "41", "42"), 2, 0.68, True),
        (("41",) * 399 + ("42",), 2, 0.99, False),
        (("41",) * 399 + ("42",), 2, 1.0, True),  # told as 1.00, and not all
        (("41", "42", "43"), 2, 0.0, False),
        (("41",), 2, 0.0, True),  # too few ballots for any threshold
    ],
)
def test_disagreement(
    answers: tuple[str, ...],
    quorum: int,
    min_agreement: float,
    disagreement: bool,  # noqa: FBT001  a column
) -> None:
    """Samples disagree where fewer than `min_agreement` give the winner's answer, or too few give any."""
    assert disagreement == is_disagreement(
        verdict(*answers, quorum=quorum), Policy(min_agreement=min_agreement)
    )
