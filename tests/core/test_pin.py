"""A verdict as it is kept and given out."""

import pytest

from gateway.core.ballot import Ballot, Reply, Sample
from gateway.core.pin import Pin, make_pin
from gateway.core.vote import decide


@pytest.mark.parametrize("streamed", [False, True])
def test_a_pin_is_the_winner_and_what_is_said_of_it(streamed: bool) -> None:  # noqa: FBT001  a column
    """The winner's bytes and form are kept as they came, with the verdict's figures and the policy's name."""
    votes = [
        Ballot(
            Sample(index, Reply(text, tokens=tokens, margin=tokens / 8), b"\0body %d\n" % index, streamed),
            text,
            text,
        )
        for index, (text, tokens) in enumerate([("41", 3), ("42", 4), ("42", 4)])
    ]
    expected = Pin(
        body=b"\0body 1\n",
        streamed=streamed,
        outcome="majority",
        agreement=2 / 3,
        k=3,
        samples=3,
        distinct=2,
        divergence=1,
        tokens=11,
        returned=4,
        policy="mine",
        margin=0.5,
    )
    assert expected == make_pin(decide(votes, 3, 2, b"question"), "mine")
