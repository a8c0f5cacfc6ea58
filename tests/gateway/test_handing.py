"""What a vote came to, on its way to other processes."""

import pytest

from gateway.errors import (
    NoAgreement,
    NoArbiter,
    Overloaded,
    ReferenceUnavailable,
    UpstreamAnswered,
    UpstreamUnreachable,
)
from gateway.serving.handing import hand_failure, handed

FIELDS = (("openai-organization", "caf\udce9"), ("x-ratelimit-reset", "1 \u00b5s"), ("retry-after", "1"))


def test_an_upstream_s_error_comes_as_it_was() -> None:
    """Status, body and fields are the same, also where a field is not UTF-8."""
    with pytest.raises(UpstreamAnswered) as told:
        handed(hand_failure(UpstreamAnswered(401, b'{"error":"\xff"}', FIELDS, "no")), "y")
    assert (401, b'{"error":"\xff"}', FIELDS) == (
        told.value.upstream_status,
        told.value.body,
        told.value.headers,
    )


def test_a_vote_s_failure_comes_as_it_was() -> None:
    """What is wrong with the vote is wrong for all who wait: words and fields are the same, but whose vote it was."""
    voted, joined = (
        (("x-consistency-source", source), ("x-consistency-policy", policy))
        for source, policy in (("vote", "x"), ("joined", "y"))
    )
    with pytest.raises(NoAgreement, match="votes 1-1-1") as told:
        handed(hand_failure(NoAgreement("votes 1-1-1", headers=(*voted, *FIELDS))), "y")
    assert told.value.headers == (*joined, *FIELDS)


def test_a_vote_that_nobody_arbitrates_is_told() -> None:
    """Its samples were paid for: those who wait hear that the reference lane failed, and do not vote again."""
    with pytest.raises(NoArbiter, match="ref answered 500") as told:
        handed(hand_failure(NoArbiter("the samples disagree: ref answered 500")), "y")
    assert (503, "reference_unavailable") == (told.value.status, told.value.code)


@pytest.mark.parametrize("own", [Overloaded, UpstreamUnreachable, ReferenceUnavailable])
def test_what_is_a_process_s_own_is_told_to_nobody(
    own: type[Overloaded | UpstreamUnreachable | ReferenceUnavailable],
) -> None:
    """No room, no connection, no lane: another process may have them."""
    assert b"" == hand_failure(own("here"))
