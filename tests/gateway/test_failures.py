"""What a client is told of a round without a verdict."""

import pytest

from gateway.core.ballot import Abstention, Ballot, Reply, Sample
from gateway.core.failure import NoneAgrees, NoReference, NoSamples
from gateway.core.round import Result
from gateway.core.vote import decide
from gateway.serving.failures import no_verdict
from tests.doubles.gateway import open_gateway
from tests.doubles.upstream import open_upstream

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


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failed_vote_is_no_overhead(*, stream: bool) -> None:
    """What was waited for the upstreams is not counted as time of our own, though nothing came of it."""
    async with open_upstream("a", "b", "c") as upstream, open_gateway(upstream) as client:
        rejecting = {"on_disagreement": "reject", "min_agreement": 0.5}
        assert "no_agreement" in (await client.chat(stream=stream, consistency=rejecting)).text
        source = "vote" if stream else "none"
        whole = await client.metric("scg_request_seconds_sum", endpoint="chat_completions", source=source)
        assert 0 < await client.metric("scg_overhead_seconds_sum", source=source) < whole
