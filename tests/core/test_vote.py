"""Counting: ballots in, one Verdict out."""

from collections import Counter
from itertools import permutations, product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.core.ballot import Ballot, Reply, Sample, Spoiled
from gateway.core.vote import Tally, decide, tally

quickly = settings(max_examples=80)
QUESTION = b"question"


def ballot(index: int, answer: str, text: str | None = None, tokens: int = 0) -> Ballot:
    """A vote for an answer, whose exact text is the answer unless told."""
    text = answer if text is None else text
    return Ballot(Sample(index, Reply(text, tokens=tokens)), answer, text)


def spoiled(index: int, text: str, tokens: int = 0) -> Spoiled:
    """A sample from which no answer could be extracted."""
    return Spoiled(Sample(index, Reply(text, tokens=tokens)), text)


def box(notes: str) -> list[Ballot | Spoiled]:
    """Votes from one letter each: `ab?` is a vote for a, one for b, and a spoiled one."""
    return [spoiled(at, "?") if note == "?" else ballot(at, note) for at, note in enumerate(notes)]


# Three answers in two spellings each, and spoiled samples.
VOTES = st.one_of(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["", " "])),
    st.tuples(st.just("?"), st.sampled_from(["x", "y"])),
)


@st.composite
def boxes(draw: st.DrawFn, most: int = 7) -> list[Ballot | Spoiled]:
    """One to seven votes with different indices, in no order."""
    drawn = draw(st.lists(VOTES, min_size=1, max_size=most))
    made = [
        spoiled(at, text) if answer == "?" else ballot(at, answer, answer + text)
        for at, (answer, text) in enumerate(drawn)
    ]
    return draw(st.permutations(made))


def answer_won(cast: list[Ballot | Spoiled], question: bytes = QUESTION) -> str | None:
    """The answer of the winning sample; None where a spoiled one won."""
    winner = decide(cast, len(cast), 1, question).winner
    return next((v.answer for v in cast if isinstance(v, Ballot) and v.sample is winner), None)


@pytest.mark.parametrize(
    ("notes", "k", "quorum", "outcome", "agreement", "votes"),
    [
        ("a", 1, 1, "single", 1.0, (1,)),
        ("aa", 3, 2, "unanimous", 1.0, (2,)),
        ("aaa", 3, 2, "unanimous", 1.0, (3,)),
        ("aab", 3, 2, "majority", 2 / 3, (2, 1)),
        ("abc", 3, 2, "tie", 1 / 3, (1, 1, 1)),
        ("ab", 2, 2, "tie", 1 / 2, (1, 1)),
        ("aabb", 4, 3, "tie", 1 / 2, (2, 2)),
        ("aabbc", 5, 3, "tie", 2 / 5, (2, 2, 1)),
        ("aabc", 4, 3, "plurality", 1 / 2, (2, 1, 1)),  # exactly half is no majority
        ("aabcd", 5, 3, "plurality", 2 / 5, (2, 1, 1, 1)),
        ("aaabc", 5, 3, "majority", 3 / 5, (3, 1, 1)),
        ("aa?", 3, 2, "majority", 2 / 3, (2,)),  # agreed, but one is spoiled
        ("aa??", 4, 2, "plurality", 1 / 2, (2,)),
        ("ab?", 3, 2, "tie", 1 / 3, (1, 1)),
        ("a?", 3, 1, "plurality", 1 / 2, (1,)),
        ("a", 3, 1, "majority", 1.0, (1,)),  # nobody to agree with, and `single` is for k=1
        ("a", 3, 2, "no_quorum", 1.0, (1,)),
        ("a??", 3, 2, "no_quorum", 1 / 3, (1,)),
        ("ab", 5, 3, "no_quorum", 1 / 2, (1, 1)),  # wins over tie
        ("aa", 5, 3, "no_quorum", 1.0, (2,)),  # and over unanimous
        ("?", 1, 1, "no_quorum", 0.0, ()),  # and over single
        ("???", 3, 2, "no_quorum", 0.0, ()),
    ],
)
def test_outcomes(
    notes: str, k: int, quorum: int, outcome: str, agreement: float, votes: tuple[int, ...]
) -> None:
    """Each outcome is what the documentation calls it, with agreement over all samples cast."""
    verdict = decide(box(notes), k, quorum, QUESTION)
    expected = (outcome, agreement, votes, k, len(notes), len(votes))
    assert expected == (
        verdict.outcome, verdict.agreement, verdict.votes, verdict.k, verdict.samples, verdict.distinct_answers,
    )  # fmt: skip


def test_no_sample_no_verdict() -> None:
    """Without a single sample there is nothing to decide on; the round knows that before."""
    with pytest.raises(IndexError):
        decide([], 3, 2, QUESTION)


def test_tally_counts() -> None:
    """A tally lists every candidate once, most votes first, with lead and second."""
    counted = tally(["b", "a", "b", "c", "b", "a"], QUESTION)
    assert counted.counts == (("b", 3), ("a", 2), ("c", 1))
    assert (counted.lead, counted.second) == (3, 2)
    assert (tally(["a"], QUESTION).lead, tally(["a"], QUESTION).second) == (1, 0)
    assert (Tally(()).lead, tally([], QUESTION).second) == (0, 0)


def test_41_42_43_ties_alike_in_all_six_orders() -> None:
    """Three different answers tie, and the same one wins whatever order they arrive or are numbered in."""
    answers = ("41", "42", "43")
    arrived = {answer_won([ballot(at, answers[at]) for at in order]) for order in permutations(range(3))}
    numbered = {
        answer_won([ballot(at, answer) for at, answer in enumerate(order)]) for order in permutations(answers)
    }
    assert arrived == numbered
    assert len(arrived) == 1


@quickly
@given(cast=boxes(), data=st.data())
def test_arrival_does_not_matter(cast: list[Ballot | Spoiled], data: st.DataObject) -> None:
    """The verdict on the same samples is the same in any order of arrival, down to the winning sample."""
    assert decide(cast, 7, 2, QUESTION) == decide(data.draw(st.permutations(cast)), 7, 2, QUESTION)


@quickly
@given(cast=boxes(), data=st.data())
def test_numbering_does_not_matter(cast: list[Ballot | Spoiled], data: st.DataObject) -> None:
    """The same votes under other indices give the same text, though it may be another sample's copy."""
    order = data.draw(st.permutations(range(len(cast))))
    renumbered = [
        spoiled(at, vote.text) if isinstance(vote, Spoiled) else ballot(at, vote.answer, vote.text)
        for at, vote in zip(order, cast, strict=True)
    ]
    one, other = decide(cast, 7, 2, QUESTION), decide(renumbered, 7, 2, QUESTION)
    assert one.winner.reply == other.winner.reply
    assert (one.outcome, one.votes, one.agreement) == (other.outcome, other.votes, other.agreement)


@quickly
@given(cast=boxes(), more=st.integers(1, 3))
def test_spoiled_samples_do_not_choose(cast: list[Ballot | Spoiled], more: int) -> None:
    """Spoiled samples, wherever they come, never change who wins among the rest; they lower agreement."""
    ballots = [vote for vote in cast if isinstance(vote, Ballot)]
    assume(ballots)
    extra = [spoiled(-1 - n, "x") for n in range(more)]
    alone, among = decide(ballots, 7, 1, QUESTION), decide([*cast, *extra], 7, 1, QUESTION)
    assert alone.winner == among.winner
    assert alone.votes == among.votes
    assert alone.agreement > among.agreement


@pytest.mark.parametrize(
    ("texts", "winner"),
    [(["x", "y", "y"], 1), (["x"], 0), (["x", "x", "y"], 0), (["y", "x", "y", "x", "y"], 0)],
)
def test_all_spoiled(texts: list[str], winner: int) -> None:
    """If every sample is spoiled the most frequent text is returned, as `no_quorum` with agreement 0."""
    verdict = decide([spoiled(at, text) for at, text in enumerate(texts)], 3, 1, QUESTION)
    assert ("no_quorum", 0.0, winner) == (verdict.outcome, verdict.agreement, verdict.winner.index)
    assert (0, len(set(texts))) == (verdict.distinct_answers, verdict.distinct_texts)
    assert verdict.same_pair is None


def test_all_spoiled_and_all_different() -> None:
    """Spoiled texts that tie break by content as answers do: alike in every order."""
    texts = ("x", "y", "z")
    won = {
        decide([spoiled(at, text) for at, text in enumerate(order)], 3, 2, QUESTION).winner.reply.content
        for order in permutations(texts)
    }
    assert len(won) == 1


def test_ties_favour_no_label() -> None:
    """Over all questions each label wins its share of ties.

    Fixed questions, so no run differs from another. A fair coin would leave 60 to 140 heads of 200, the
    bounds here, but for once in 10**8; a rule that prefers a label gives 0 or 200.
    """
    questions = [b"question %d" % n for n in range(200)]
    for one, other in (("yes", "no"), ("A", "B"), ("41", "42")):
        wins = sum(answer_won([ballot(0, one), ballot(1, other)], question) == one for question in questions)
        assert 60 <= wins <= 140


def test_a_tie_depends_on_its_candidates_alone() -> None:
    """Whoever wins a tie of three also wins the tie of two without the third: one order per question."""
    for number in range(20):
        question = b"question %d" % number
        winner = answer_won(box("abc"), question)
        assert winner is not None
        for loser in set("abc") - {winner}:
            assert winner == answer_won(box(loser + winner), question)


@pytest.mark.parametrize(
    ("texts", "winner"),
    [
        (["a ", "a", "a"], 1),  # most copies, then the first of them
        (["a", "a ", "a "], 1),
        (["a", "a", "a"], 0),
        (["a ", "a", "a", "a "], None),  # two copies each: by content, first of them
    ],
)
def test_the_representative(texts: list[str], winner: int | None) -> None:
    """Of the winning answer's texts the one with the most copies is returned, by its first sample."""
    cast = [ballot(at, "a", text) for at, text in enumerate(texts)]
    chosen = decide(cast, 5, 1, QUESTION).winner
    if winner is None:
        assert chosen.index == texts.index(chosen.reply.content)
    else:
        assert winner == chosen.index


def test_the_representative_is_of_the_winning_answer() -> None:
    """A losing text with more copies than any of the winner's texts does not win."""
    cast = [ballot(0, "a", "a1"), ballot(1, "a", "a2"), ballot(2, "a", "a3"), ballot(3, "b"), ballot(4, "b")]
    assert answer_won([*cast]) == "a"


@pytest.mark.parametrize(
    ("cast", "divergence"),
    [
        ([ballot(0, "The answer is 41."), ballot(1, "The answer is 42.")], 15),
        ([ballot(0, "a"), ballot(1, "a")], None),
        ([ballot(0, "a", "a b"), ballot(1, "a", "a  b")], 2),  # one answer, two texts
        ([ballot(0, "ab"), spoiled(1, "ac")], 1),
        ([ballot(0, "a")], None),
    ],
)
def test_divergence(cast: list[Ballot | Spoiled], divergence: int | None) -> None:
    """Divergence is over the texts of all samples cast, agreeing or spoiled ones included."""
    assert divergence == decide(cast, 3, 1, QUESTION).divergence


def test_divergence_is_in_what_people_see() -> None:
    """Two calls that part in their arguments diverge there, not in the encoding of the vote."""
    replies = [Reply("", calls=(("f", arguments),)) for arguments in ('{"a":1}', '{"a":2}')]
    cast = [Ballot(Sample(at, reply), str(at), str(at)) for at, reply in enumerate(replies)]
    assert len('\nf({"a":') == decide(cast, 3, 1, QUESTION).divergence


def test_distinct_texts_and_tokens() -> None:
    """Texts are counted apart from answers, and tokens over every sample cast."""
    ballots = [ballot(0, "a", "a", 3), ballot(1, "a", "a ", 4), ballot(2, "b", "b", 5)]
    verdict = decide([*ballots, spoiled(3, "?", 6)], 5, 2, QUESTION)
    assert (verdict.distinct_answers, verdict.distinct_texts, verdict.tokens) == (2, 4, 18)


@pytest.mark.parametrize(
    ("notes", "same_pair"),
    [("a", None), ("??", None), ("a?", None), ("aab", True), ("aba", False), ("?aa", True), ("a?b", False)],
)
def test_the_pair(notes: str, same_pair: bool | None) -> None:  # noqa: FBT001  a column
    """The pair for the consistency rate is the first two ballots in sample order; spoiled ones are none."""
    for order in permutations(box(notes)):
        assert same_pair == decide(order, 3, 1, QUESTION).same_pair


@pytest.mark.parametrize(
    ("notes", "shown", "winner", "outcome", "agreement"),
    [
        ("aab", "a", "a", "majority", 2 / 3),  # shown or not, the winner is the same
        ("aab", "b", "b", "tie", 1 / 3),  # the winner has no strict lead
        ("ab", "b", "b", "tie", 1 / 2),
        ("aabbbcc", "ac", None, "tie", 2 / 7),
        ("??", "?", "?", "no_quorum", 0.0),
        ("a", "a", "a", "no_quorum", 1.0),
    ],
)
def test_what_was_shown_wins(
    notes: str, shown: str, winner: str | None, outcome: str, agreement: float
) -> None:
    """Among samples that agree with what was shown the usual rules choose; the figures are over all cast."""
    verdict = decide(box(notes), len(notes) + 1, 2, QUESTION, lambda sample: sample.reply.content in shown)
    assert winner in {None, verdict.winner.reply.content}
    assert verdict.winner.reply.content in shown
    assert (outcome, agreement, len(notes)) == (verdict.outcome, verdict.agreement, verdict.samples)


@quickly
@given(cast=boxes(), shown=st.sampled_from(["", "a", "b", "c", "a "]))
def test_the_best_of_those_that_agree(cast: list[Ballot | Spoiled], shown: str) -> None:
    """What was shown takes the others out of the race: the winner is that of a vote without them."""

    def agrees(sample: Sample) -> bool:
        return sample.reply.content.startswith(shown)

    ballots = [vote for vote in cast if isinstance(vote, Ballot)]
    agreeing = [vote for vote in ballots or cast if agrees(vote.sample)]
    assume(agreeing)
    verdict = decide(cast, 7, 2, QUESTION, agrees)
    votes = Counter(vote.answer for vote in ballots)
    most = max((votes[vote.answer] for vote in agreeing if isinstance(vote, Ballot)), default=0)
    assert verdict.winner in [vote.sample for vote in agreeing]
    assert most / len(cast) == verdict.agreement
    if shown != "a ":  # then answers agree or differ as a whole
        assert decide(agreeing, 7, 2, QUESTION).winner == verdict.winner


def test_every_small_vote() -> None:
    """All votes of up to four samples over two answers and spoiled ones: a winner with the most votes."""
    for notes in ("".join(n) for size in range(1, 5) for n in product("ab?", repeat=size)):
        verdict = decide(box(notes), 4, 1, QUESTION)
        most = max(notes.count("a"), notes.count("b"))
        assert verdict.votes[:1] == ((most,) if most else ())
        assert notes.count(verdict.winner.reply.content) == (most or len(notes))
        assert verdict.agreement == most / len(notes)
        assert (verdict.outcome == "tie") == (notes.count("a") == notes.count("b") > 0)
        assert (verdict.outcome == "unanimous") == (most == len(notes) > 1)
        assert (verdict.outcome == "no_quorum") == (most == 0)
