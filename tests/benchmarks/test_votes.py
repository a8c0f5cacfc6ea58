"""The evaluation of votes: its figures against ones counted by hand, its page and plot from scripted findings."""

import json
from pathlib import Path

from benchmarks.votes.asking import Asked, Way, last_number
from benchmarks.votes.findings import auroc, auroc_interval, buckets, line
from benchmarks.votes.page import page, plot


def asked(right: int, agreement: float, answer: str = "1", samples: int = 3) -> Asked:
    return Asked(bool(right), answer, agreement, samples)


def test_auroc_by_hand() -> None:
    """Of the four pairs of a right and a wrong answer two are won, one is tied: 2.5 of 4."""
    found = [asked(1, 1.0), asked(1, 0.6), asked(0, 0.6), asked(0, 0.8)]
    assert 2.5 / 4 == auroc(found)


def test_auroc_needs_both() -> None:
    """Where every answer is right there is nothing to tell apart."""
    assert auroc([asked(1, 1.0)] * 3) is None


def test_an_interval_of_auroc() -> None:
    """By hand, for .9 of 3 right and 2 wrong: .09 + 2 * .0081818 + .0426316, over 6, has the root .15758."""
    low, high = auroc_interval(0.9, 3, 2)
    assert (round(0.9 - 1.96 * 0.15758, 4), 1.0) == (round(low, 4), high)


def test_buckets_hold_every_answer_once() -> None:
    """Every agreement from 0 to 1 falls into one bucket; full agreement has its own."""
    found = buckets([asked(at % 2, at / 15) for at in range(16)])
    assert 16 == sum(bucket.answers for bucket in found)
    assert (1, 1.0) == (found[-1].answers, found[-1].accuracy)


def test_a_line_counts_what_it_says() -> None:
    """Accuracy, samples per answer, and how often a stop rule gives the full vote's answer."""
    full = [asked(1, 1.0, "1", 15), asked(0, 0.5, "2", 15)]
    found = line(Way("early", 15, "unbeatable"), [asked(1, 1.0, "1", 8), asked(0, 0.5, "3", 10)], full, 2)
    assert (0.5, 9.0, 0.5) == (found.accuracy, found.samples, found.same_as_all)


def test_only_a_whole_answer_counts() -> None:
    """The number after the last mark is the answer; without the mark there is none."""
    assert ["59", "-7", ""] == [last_number(text) for text in ("1 + 2 = 3\n#### 59", "#### 1 #### -7", "59")]


def test_page_and_plot() -> None:
    """Every figure of the findings is in the page, and the plot has a line for each k."""
    found = {
        "problems": 4, "temperature": 0.7, "date": "2026-01-02", "seconds": 5, "command": "c", "device": "cpu",
        "machine": {"processor": "p", "cores": "2"},
        "lines": [{"title": "maj@3", "accuracy": 0.75, "interval": (0.3, 0.95), "samples": 3.0, "same_as_all": None}],
        "agreement": {
            title: {"auroc": 0.912, "buckets": [{"low": 1.0, "high": 1.0, "answers": 4, "accuracy": 0.75}]}
            for title in ("maj@5", "maj@15")
        },
    }  # fmt: skip
    text, picture = page(found), plot(found)
    assert "| maj@3 | .750 | 0.30 to 0.95 | 3.0 |  |" in text
    assert "| 1 | .750 (4) | .750 (4) |" in text
    assert ".912 of the time under maj@15 (AUROC, 95 %: 0.57 to 1.00)" in text
    assert 2 == picture.count("<polyline")


def test_the_page_is_made_of_what_was_kept() -> None:
    """docs/accuracy.md says what benchmarks/results/votes/accuracy.json has, and nothing else."""
    root = Path(__file__).parents[2]
    found = json.loads((root / "benchmarks/results/votes/accuracy.json").read_text())
    assert page(found) == (root / "docs/accuracy.md").read_text()
