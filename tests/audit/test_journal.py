"""What is written is what is read, and what was cut off is asked again."""

from pathlib import Path

import pytest

from gateway.audit.heard import Heard, Missed
from gateway.audit.journal import Journal, JournalError, read_journal, whole_groups
from gateway.audit.schedule import schedule
from gateway.audit.spec import ALONE, APART, KINDS, MIXED, TOGETHER
from gateway.calling.lines import mend
from tests.audit.hearing import head_of, hear, spec_of

SPEC = spec_of(2, kinds=KINDS)
TEXTS = {kind: [["a\n\u2028\ud800", "b"]] * 2 for kind in KINDS}


def write(path: Path) -> None:
    journal = Journal(path)
    journal.begin(head_of(SPEC))
    for outcome in hear(SPEC, TEXTS, told=(("agreement", "1.00"),)):
        journal.append(outcome)
    journal.append(Missed(hear(SPEC, TEXTS)[0].shot, 99, "status 500"))


def test_it_reads_what_it_wrote(tmp_path: Path) -> None:
    """Head and outcomes come back equal, lone surrogates and odd line ends included."""
    write(tmp_path / "j.jsonl")
    head, outcomes = read_journal(tmp_path / "j.jsonl")
    assert head_of(SPEC) == head
    assert hear(SPEC, TEXTS, told=(("agreement", "1.00"),)) == outcomes[:-1]
    assert Missed(outcomes[0].shot, 99, "status 500") == outcomes[-1]


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_line_that_was_cut_off_is_left_out(cut: int, tmp_path: Path) -> None:
    """A writer that was killed in the middle of a line costs that line; after mending, more can be added."""
    path = tmp_path / "j.jsonl"
    write(path)
    whole = len(read_journal(path)[1])
    path.write_bytes(path.read_bytes()[: -min(cut, 30)])
    assert whole - 1 == len(read_journal(path)[1])
    mend(path)
    Journal(path).append(Missed(hear(SPEC, TEXTS)[0].shot, 100, "again"))
    assert whole == len(read_journal(path)[1])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("{}\n", "j.jsonl:1: not a line of an audit's journal"),
        ("nonsense\n{}\n", "j.jsonl:1: not a line of an audit's journal"),
    ],
)
def test_what_is_no_journal(text: str, said: str, tmp_path: Path) -> None:
    """Another file is not gone on with; the line is named."""
    (tmp_path / "j.jsonl").write_text(text)
    with pytest.raises(JournalError, match=said):
        read_journal(tmp_path / "j.jsonl")


def test_a_broken_line_within_is_an_error(tmp_path: Path) -> None:
    """Only the end can have been cut off."""
    path = tmp_path / "j.jsonl"
    write(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], "{", *lines[3:]]) + "\n")
    with pytest.raises(JournalError, match=r"j\.jsonl:4"):
        read_journal(path)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A journal that is there is not begun anew."""
    write(tmp_path / "j.jsonl")
    with pytest.raises(JournalError, match="File exists"):
        Journal(tmp_path / "j.jsonl").begin(head_of(SPEC))


@pytest.mark.parametrize("kind", [TOGETHER, MIXED])
def test_a_group_counts_only_whole(kind: str) -> None:
    """Of copies that were sent together, a part is none: halves of two launches make no group."""
    spec = spec_of(2, kinds=(kind,))
    groups = [group for phase in schedule(spec) for group in phase.groups]
    first = [each for each in hear(spec, TEXTS) if each.launch == 1]
    assert {} == whole_groups(groups, first[:-1])
    moved = [Missed(each.shot, 50, "") for each in first[-1:]]
    assert {} == whole_groups(groups, [*first[:-1], *moved])
    assert set(groups[0]) == whole_groups(groups, first).keys()


def test_the_latest_whole_launch_counts() -> None:
    """What was asked again replaces what was asked before."""
    spec = spec_of(1, kinds=(ALONE, APART))
    groups = [group for phase in schedule(spec) for group in phase.groups]
    once = hear(spec, {ALONE: [["old"]], APART: [["old"]]})
    again = [each for each in hear(spec, {ALONE: [["new"]], APART: [["new"]]}) if isinstance(each, Heard)]
    found = whole_groups(groups, [*once, Heard(again[0].shot, again[0].sample, 1000)])
    assert ["new"] + ["old"] * 8 == [each.sample.reply.content for each in found.values()]
