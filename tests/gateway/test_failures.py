"""What a client is told of a round without a verdict."""

import pytest

from gateway.core.ballot import Abstention, Ballot, Reply, Sample
from gateway.core.failure import NoneAgrees, NoReference, NoSamples
from gateway.core.round import Result
from gateway.core.vote import decide
from gateway.serving.failures import no_verdict

TIE = decide([Ballot(Sample(index, Reply(text)), text, text) for index, text in enumerate("ab")], 2, 2, b"")
NO_LANE = Abstention(3, "reference")
ANSWERED = Abstention(3, "status", 400, b"no", upstream="ref")


@pytest.mark.parametrize(
    ("result", "status", "code", "said"),
    [
        (NoReference(TIE, NO_LANE), 503, "reference_unavailable", "no reference lane is up and trusted"),
        (NoReference(TIE, ANSWERED), 503, "reference_unavailable", "the samples disagree: ref answered 400"),
        (NoSamples((NO_LANE, NO_LANE), 0, 1), 503, "reference_unavailable", "no reference lane is up"),
        (NoSamples((NO_LANE, ANSWERED), 0, 1), None, "upstream_error", "ref answered 400: no"),
        (NoneAgrees((ANSWERED,), 2), 502, "no_quorum", "no sample that came goes on as the stream began"),
    ],
)
def test_no_verdict(result: Result, status: int | None, code: str, said: str) -> None:
    """A reference lane that is missing or failed is a 503, and so is a policy that has no other lane."""
    error = no_verdict(result)
    assert code == error.code
    assert status in {None, error.status}
    assert said in error.message
