"""The majority path, against its plain definition, in any interleaving."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import combinations_with_replacement, permutations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.path import END, HELD, MajorityPath

thoroughly = settings(max_examples=200)
quickly = settings(max_examples=100)
QUESTION = b"question"
UNSEEN = "\0unseen"  # a symbol that no sample has so far


# The plain definition: from what is known of each sample, as if it had come in one piece.


@dataclass
class Known:
    """What is known of one sample."""

    text: str = ""
    end: str | None = None
    is_lost: bool = False

    def symbol(self, shown: str) -> str | None:
        """What follows what is shown; None if that is not known yet."""
        return self.text[len(shown)] if len(self.text) > len(shown) else self.end

    def agrees(self, shown: str) -> bool:
        if self.is_lost:
            return False
        return self.text.startswith(shown) or (self.end is None and shown.startswith(self.text))


def digest(shown: str, symbol: str) -> bytes:
    return b"" if symbol == UNSEEN else sha256(QUESTION + (shown + symbol).encode()).digest()


def first(symbols: Sequence[str], shown: str) -> str:
    """The symbol with most votes; of several the one whose text has the least digest."""
    counts = Counter(symbols)
    return min(counts, key=lambda symbol: (-counts[symbol], digest(shown, symbol)))


def certain(samples: Sequence[Known], total: int, shown: str) -> str | None:
    """The next symbol of the path, whatever the samples that have not come that far will say."""
    agreeing = [sample for sample in samples if sample.agrees(shown)]
    said = [symbol for sample in agreeing if (symbol := sample.symbol(shown)) is not None]
    undecided = len(agreeing) - len(said) + total - len(samples)
    futures = combinations_with_replacement([*set(said), UNSEEN], undecided)
    outcomes = {first([*said, *future], shown) for future in futures if [*said, *future]}
    return outcomes.pop() if len(outcomes) == 1 and UNSEEN not in outcomes and said else None


def plain(samples: Sequence[Known], total: int, shown: str = "") -> str:
    """All that may be shown, where `shown` already was."""
    while (symbol := certain(samples, total, shown)) not in (None, END, HELD):
        assert symbol is not None
        shown += symbol
    return shown


# Scripts: what the samples will say, and in which pieces, in which order.


@dataclass
class Script:
    """Per sample its text and how it ends; the turns in which they speak, and of how many characters each."""

    texts: list[str]
    ends: list[str]
    turns: list[tuple[int, int]]
    lost: dict[int, int] = field(default_factory=dict)  # by turn, the sample that is lost before it


texts = st.text("ab", max_size=6)


@st.composite
def scripts(draw: st.DrawFn, *, losing: bool = False) -> Script:
    k = draw(st.integers(1, 5))
    stem = draw(texts)
    said = [draw(st.just(stem) | texts | texts.map(lambda more: stem + more)) for _ in range(k)]
    ends = [draw(st.sampled_from([END, END, HELD])) for _ in range(k)]
    turns = draw(st.lists(st.tuples(st.integers(0, k - 1), st.integers(1, 4)), max_size=20))
    samples = st.integers(0, k - 1)
    lost = draw(st.dictionaries(st.integers(0, 20), samples, max_size=3)) if losing else {}
    return Script(said, ends, turns + [(index, 99) for index in range(k)] * 2, lost)


@dataclass
class Stage:
    """A path that is played, and beside it what is known of its samples."""

    path: MajorityPath
    known: list[Known]
    shown: str = ""

    def play(self, script: Script) -> Iterator[str]:
        """What is newly shown on each step."""
        for number, (index, length) in enumerate(script.turns):
            if (lost := script.lost.get(number)) is not None and self.known[lost].end is None:
                self.known[lost].is_lost = True
                yield self._note(self.path.lose(lost))
            sample = self.known[index]
            if sample.is_lost:
                continue
            at = len(sample.text)
            if piece := script.texts[index][at : at + length]:
                sample.text += piece
                yield self._note(self.path.feed(index, piece))
            elif sample.end is None:
                sample.end = script.ends[index]
                yield self._note((self.path.end if sample.end == END else self.path.hold)(index))

    def _note(self, new: str) -> str:
        self.shown += new
        return new


def stage(script: Script) -> Stage:
    indices = range(len(script.texts))
    return Stage(launched(MajorityPath(len(indices), QUESTION), *indices), [Known() for _ in indices])


def launched(path: MajorityPath, *indices: int) -> MajorityPath:
    for index in indices:
        path.launch(index)
    return path


def final(script: Script) -> tuple[str, str | None]:
    played = stage(script)
    for _ in played.play(script):
        pass
    return played.shown, played.path.ending


@thoroughly
@given(scripts())
def test_the_path_is_what_the_definition_says(script: Script) -> None:
    """After every piece, of any sample, exactly that is shown which nothing still to come can change."""
    played = stage(script)
    for _ in played.play(script):
        assert plain(played.known, len(script.texts)) == played.shown == played.path.shown
        agreeing = {index for index, sample in enumerate(played.known) if sample.agrees(played.shown)}
        assert played.path.ending is not None or agreeing == played.path.agreeing


@thoroughly
@given(scripts(losing=True))
def test_losses(script: Script) -> None:
    """Where samples are lost, what was shown stays, and from there on the others decide."""
    played = stage(script)
    before = ""
    for _ in played.play(script):
        if played.path.ending is None:
            assert plain(played.known, len(script.texts), before) == played.shown
        before = played.shown


@quickly
@given(scripts())
def test_the_path_ends_as_a_sample_does(script: Script) -> None:
    """When all samples are in, the path is at its end, and its text and end are those of the samples that agree."""
    played = stage(script)
    for _ in played.play(script):
        pass
    path = played.path
    assert path.agreeing
    for index in path.agreeing:
        assert (script.texts[index], script.ends[index]) == (path.shown, path.ending)
    assert 0 == path.wants_more


@quickly
@given(scripts(), st.randoms(use_true_random=False))
def test_arrival_does_not_matter(script: Script, random: Random) -> None:
    """When all samples are in, the path has one text, whatever the order and the pieces in which they came."""
    shuffled = list(script.turns)
    random.shuffle(shuffled)
    bytewise = [(index, 1) for index in range(len(script.texts)) for _ in range(8)]
    random.shuffle(bytewise)
    whole = [(index, 99) for index in range(len(script.texts))] * 2
    for turns in (shuffled + whole, bytewise + whole, whole):
        assert final(script) == final(Script(script.texts, script.ends, turns))


@quickly
@given(scripts())
def test_numbering_does_not_matter(script: Script) -> None:
    """Which of the samples has which index changes nothing."""
    turns = [(index, 99) for index in range(len(script.texts))] * 2
    expected = final(script)
    for order in list(permutations(range(len(script.texts))))[:10]:
        renamed = Script(
            [script.texts[index] for index in order], [script.ends[index] for index in order], turns
        )
        assert expected == final(renamed)


# Scenes, step by step: of three samples what each call newly shows.

Scene = list[tuple[str, tuple[int | str, ...], str]]
SCENES: dict[str, Scene] = {
    "two of three share it": [
        ("feed", (0, "The"), ""), ("feed", (1, "Th"), "Th"), ("feed", (1, "e"), "e"), ("feed", (2, "The an"), ""),
        ("feed", (1, " an"), " an"),
    ],
    "they part, and the third decides": [
        ("feed", (0, "4"), ""), ("feed", (1, "4"), "4"), ("feed", (0, "1"), ""), ("feed", (1, "2"), ""),
        ("feed", (2, "4"), ""), ("feed", (2, "2!"), "2"), ("feed", (1, "!"), "!"),
    ],
    "one ends early": [
        ("feed", (0, "yes"), ""), ("end", (0,), ""), ("feed", (1, "yes, but"), "yes"), ("feed", (2, "yes"), ""),
        ("end", (2,), ""), ("feed", (1, " no"), ""),
    ],
    "one ends early, but two go on": [
        ("feed", (0, "yes"), ""), ("end", (0,), ""), ("feed", (1, "yes, but"), "yes"), ("feed", (2, "yes, "), ", "),
        ("feed", (2, "but"), "but"),
    ],
    "one stalls and is lost": [
        ("feed", (0, "42"), ""), ("feed", (1, "4"), "4"), ("feed", (2, "4"), ""), ("lose", (1,), ""),
        ("feed", (2, "2"), "2"), ("lose", (2,), ""), ("feed", (0, "!"), "!"),
    ],
    "one turns to what is not shown": [
        ("feed", (0, "a"), ""), ("hold", (0,), ""), ("feed", (1, "a"), "a"), ("feed", (1, "b"), ""),
        ("feed", (2, "ab"), "b"),
    ],
    "two turn to what is not shown": [
        ("hold", (0,), ""), ("feed", (1, "a"), ""), ("hold", (2,), ""), ("feed", (1, "b"), ""), ("feed", (0, "c"), ""),
    ],
    "characters of several bytes": [
        ("feed", (0, "žluť"), ""), ("feed", (1, "žl"), "žl"), ("feed", (1, "u\N{COMBINING CARON}"), "u"),
        ("feed", (2, "\N{GRINNING FACE}"), "ť"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_scenes(scene: Scene) -> None:
    """Each step shows exactly what it says."""
    path = MajorityPath(3, QUESTION)
    assert [shown for _, _, shown in scene] == [getattr(path, name)(*given) for name, given, _ in scene]


# Launching.


@pytest.mark.parametrize(("k", "wanted"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (8, 5), (15, 8), (16, 9)])
def test_the_deciding_number_is_wanted_first(k: int, wanted: int) -> None:
    """Before anything is said, a path wants as many samples as make a strict majority, and no more."""
    path = MajorityPath(k, QUESTION)
    assert wanted == path.wants_more
    assert 0 == launched(path, *range(wanted)).wants_more


def test_a_split_wants_more() -> None:
    """Where the launched samples part, one more is wanted at once; it decides when it has caught up."""
    path = launched(MajorityPath(3, QUESTION), 0, 1)
    path.feed(0, "41")
    assert "4" == path.feed(1, "4")
    assert 0 == path.wants_more
    path.feed(1, "2")
    assert 1 == path.wants_more
    launched(path, 2)
    assert 0 == path.wants_more
    assert ("", "2") == (path.feed(2, "4"), path.feed(2, "2"))
    assert (0, frozenset({1, 2})) == (path.wants_more, path.agreeing)


def test_samples_under_way_are_counted_on() -> None:
    """At a split among the first three of five, those that have not come so far may still decide it."""
    path = launched(MajorityPath(5, QUESTION), 0, 1, 2)
    path.feed(0, "a")
    path.feed(1, "b")
    assert 1 == path.wants_more
    path.feed(2, "c")
    assert 1 == path.wants_more


def test_a_loss_is_made_up() -> None:
    """A launched sample that is lost is wanted again; with the replacement allowed for nothing is shown early."""
    path = launched(MajorityPath(3, QUESTION), 0, 1)
    path.feed(0, "42")
    path.widen(4)
    assert ("", 1) == (path.lose(1), path.wants_more)
    launched(path, 2)
    assert (0, "42") == (path.wants_more, path.feed(2, "42"))


def test_without_a_replacement_the_rest_decides() -> None:
    """What waited for a sample that is lost for good is shown."""
    path = MajorityPath(3, QUESTION)
    path.feed(0, "42")
    assert ("", "42") == (path.lose(1), path.lose(2))


def test_even_votes_do_not_wait_for_what_cannot_beat_them() -> None:
    """Of four, two against one are shown at once if a tie would go to them, else only with the fourth."""
    ahead, behind = sorted("ab", key=lambda letter: sha256(QUESTION + letter.encode()).digest())
    shown = []
    for leading, other in ((ahead, behind), (behind, ahead)):
        path = MajorityPath(4, QUESTION)
        shown.append(
            [path.feed(0, leading), path.feed(1, other), path.feed(2, leading), path.feed(3, leading)]
        )
    assert [["", "", ahead, ""], ["", "", "", behind]] == shown


# Ends.


def test_nobody_is_left() -> None:
    """When all that agree with what was shown are lost, a path wants what may still come, and then nothing."""
    path = MajorityPath(3, QUESTION)
    path.feed(0, "42")
    path.feed(1, "42")
    path.feed(2, "41")
    for index in (0, 1):
        path.widen(4)
        path.lose(index)
    assert (frozenset(), 1) == (path.agreeing, path.wants_more)
    assert "" == path.feed(3, "43")
    assert ("42", frozenset(), 0) == (path.shown, path.agreeing, path.wants_more)


def test_what_comes_too_late_is_ignored() -> None:
    """Samples that departed, ended or were lost change nothing by what they still say."""
    path = MajorityPath(3, QUESTION)
    path.feed(0, "ab")
    path.feed(1, "ab")
    path.feed(2, "x")
    path.end(0)
    path.lose(1)
    for index in range(3):
        assert ("", "", "") == (
            path.feed(index, "ab"),
            path.end(index),
            path.lose(index) if index == 1 else "",
        )
    assert ("ab", frozenset({0})) == (path.shown, path.agreeing)
    assert END == path.ending


def test_a_sample_shorter_than_what_is_shown_departs() -> None:
    """A late sample that ends within what is shown agrees no more."""
    path = MajorityPath(3, QUESTION)
    path.feed(0, "yes, but")
    path.feed(1, "yes, but")
    path.feed(2, "yes")
    assert {0, 1, 2} == path.agreeing
    path.end(2)
    assert {0, 1} == path.agreeing


def test_the_end_is_joined_late() -> None:
    """After the end of the path, those that end there agree, and those that go on depart."""
    path = MajorityPath(4, QUESTION)
    for index in range(3):
        path.feed(index, "yes")
        path.end(index)
    path.feed(3, "ye")
    assert END == path.ending
    assert {0, 1, 2, 3} == path.agreeing
    path.feed(3, "s")
    assert {0, 1, 2, 3} == path.agreeing
    path.feed(3, "!")
    assert {0, 1, 2} == path.agreeing


# Cost.


def calls(length: int, sizes: Sequence[int]) -> int:
    """How many functions are called while samples that say the same come in pieces of these sizes, in turn."""
    text = "0123456789" * (length // 10)
    path = MajorityPath(len(sizes), QUESTION)
    counted = 0

    def count(_frame: object, _event: str, _argument: object) -> None:
        nonlocal counted
        counted += 1

    sys.setprofile(count)
    try:
        for at in range(length):
            for index, size in enumerate(sizes):
                if at % size == 0:
                    path.feed(index, text[at : at + size])
    finally:
        sys.setprofile(None)
    assert text == path.shown
    return counted


@pytest.mark.parametrize("sizes", [[1] * 8, [1, 3, 7, 50, 1000, 4000, 1, 2]], ids=["letters", "mixed"])
def test_the_cost_grows_as_the_text_does(sizes: Sequence[int]) -> None:
    """Twice the text costs twice the work, whatever the pieces; nothing is compared again from the start."""
    once, twice = calls(2000, sizes), calls(4000, sizes)
    assert twice <= 2.1 * once
