"""An auditor's second count of ledger entries."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.ledger import Entry, make_entry
from gateway.core.policy import PRESETS, Policy
from gateway.core.recount import fault
from tests.core.playing import Note, Script, play

quickly = settings(max_examples=80)
NUMBER = PRESETS["majority"].override({"answer": "number", "stop": "all", "k": 5})
STRICT = PRESETS["strict"].override({"answer": "number"})


def entry(policy: Policy, script: Script, reference: Note = "reference 7") -> Entry:
    """That of a round that came so."""
    ended = play(policy, script, reference=reference).round
    return make_entry(ended, key="k", at=0.0, model="m", pin="won")


@quickly
@given(
    policy=st.sampled_from([NUMBER, NUMBER.override({"stop": "unbeatable"}), STRICT]),
    script=st.lists(st.sampled_from(["1", "it is 1", "2", "none", "nothing", 500]), min_size=6, max_size=6),
    reference=st.sampled_from(["7", "none", 500]),
)
def test_every_vote_follows_from_its_samples(policy: Policy, script: list[Note], reference: Note) -> None:
    """Whatever comes, winner and agreement are those that the hashes give."""
    assert fault(entry(policy, script, reference)) is None


def test_a_live_stream_is_bound_to_what_it_showed() -> None:
    """Its winner need not be the count's, and its agreement is that of its own answer."""
    ended = play(NUMBER, ["1", "2", "2", "2", "1"], agrees=lambda sample: sample.reply.content == "1").round
    told = make_entry(ended, key="k", at=0.0, model="m", pin="won")
    assert (True, 0.4, None) == (told.live, told.agreement, fault(told))
    assert "by the count it is sample 1" in str(fault(replace(told, live=False)))


def altered(told: Entry, at: int, **members: object) -> Entry:
    """With another sample at this place."""
    samples = list(told.samples)
    samples[at] = replace(samples[at], **members)  # type: ignore[arg-type]
    return replace(told, samples=tuple(samples))


OTHER = "ff" * 32
MAJORITY = entry(NUMBER, ["1", "2", "1", "1", "none"])
ARBITRATED = entry(STRICT, ["1", "2", "1"])


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (replace(MAJORITY, winner=1), "the winner is sample 1, and by the count it is sample 0"),
        (replace(MAJORITY, winner=9), "the winner, sample 9, is none of the samples that came"),
        (replace(MAJORITY, samples=()), "the winner, sample 0, is none of the samples that came"),
        (replace(MAJORITY, winner=-1), "outcome majority, and no winner"),
        (replace(MAJORITY, agreement=0.75), "the agreement is 0.75, and by the count it is 0.60"),
        (altered(MAJORITY, 2, answer=OTHER), "the agreement is 0.60, and by the count it is 0.40"),
        (altered(MAJORITY, 0, fate="abstained"), "the winner, sample 0, is none of the samples that came"),
        (altered(MAJORITY, 0, text=OTHER), "the winner is sample 0, and by the count it is sample 2"),
        (replace(ARBITRATED, agreement=1.0), "the agreement is 1.00, and by the count it is 0.67"),
    ],
)
def test_what_was_tampered_with_is_told(told: Entry, said: str) -> None:
    """A change of the winner, the agreement or a sample that mattered does not pass."""
    assert said == fault(told)


def test_the_reference_sample_wins_whatever_the_vote_was() -> None:
    """It is named among the samples, and the agreement stays the vote's."""
    assert ("reference", None) == (ARBITRATED.samples[ARBITRATED.winner].fate, fault(ARBITRATED))


def test_equal_votes_go_to_the_smallest_hash() -> None:
    """A tie told the other way round is a fault."""
    told = entry(NUMBER.override({"k": 2}), ["1", "2"])
    loser = 1 - told.winner
    assert fault(told) is None
    assert f"by the count it is sample {told.winner}" in str(fault(replace(told, winner=loser)))
