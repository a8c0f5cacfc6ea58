"""Agreement field by field."""

import json
from typing import Any

import pytest

from gateway.core.ballot import Ballot, Reply, Sample, cast
from gateway.core.field_agreement import field_agreement


def ballots(*replies: Reply, answer: str = "json") -> list[Ballot]:
    votes = [cast(Sample(index, reply), answer) for index, reply in enumerate(replies)]
    return [vote for vote in votes if isinstance(vote, Ballot)]


def shares(*values: Any, winner: int = 0) -> dict[str, float]:
    """What agrees with the winner's value, of these JSON values."""
    cast_ballots = ballots(*(Reply(json.dumps(value)) for value in values))
    return dict(field_agreement(cast_ballots, cast_ballots[winner].sample))


def test_a_label_that_flips() -> None:
    """The verdict's score is disputed, its label is not: that is what a user needs to know."""
    found = shares(
        {"label": "neutral", "score": 60},
        {"label": "neutral", "score": 70},
        {"score": 60.0, "label": "neutral"},
    )
    assert {"/label": 1.0, "/score": pytest.approx(2 / 3)} == found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([{"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}], {"/a/b": 1, "/a/c": 0.5}),
        ([{"a": {"b": 1}}, {"a": 1}], {"/a/b": 0.5}),
        ([{"a": 1}, {"a": {"b": 1}}], {"/a": 0.5}),
        ([{"a": 1}, {"b": 1}], {"/a": 0.5}),
        ([{"a": 1}, [1]], {"/a": 0.5}),
        ([{"a": 1}, 1], {"/a": 0.5}),
        ([{"a": [1, 2]}, {"a": [2, 1]}], {"/a": 0.5}),
        ([{"a": {}}, {"a": {}}], {"/a": 1}),
        ([{"a": {}}, {"a": {"b": 1}}], {"/a": 0.5}),
        ([{"a": None}, {}], {"/a": 0.5}),
        ([{"a/b": {"~": 1, "": 2}}], {"/a~1b/": 1, "/a~1b/~0": 1}),
        ([{}], {}),
        ([[1, 2]], {}),
        ([1, 1], {}),
    ],
)  # fmt: skip
def test_shares(values: list[Any], expected: dict[str, float]) -> None:
    """Each field of the winner, by JSON pointer, has the share of ballots with its value."""
    assert expected == shares(*values)


def test_it_is_the_winners_value_that_counts() -> None:
    """Shares are of those that agree with the winner, not of the most common value of a field."""
    assert {"/a": pytest.approx(1 / 3)} == shares({"a": 1}, {"a": 2}, {"a": 2})


def test_fields_of_calls() -> None:
    """Calls are told apart by position, and their arguments by name."""
    cast_ballots = ballots(
        Reply("", calls=(("f", '{"city":"Paris","days":3}'),)),
        Reply("", calls=(("f", '{"days":2,"city":"Paris"}'),)),
        Reply("", calls=(("g", "raw"),)),
        answer="tool_calls",
    )
    assert {
        "/0/arguments/city": pytest.approx(2 / 3),
        "/0/arguments/days": pytest.approx(1 / 3),
        "/0/name": pytest.approx(2 / 3),
    } == dict(field_agreement(cast_ballots, cast_ballots[0].sample))


def test_text_has_no_fields() -> None:
    """Answers that are no JSON have no fields, and a winner that cast no ballot has none either."""
    texts = ballots(Reply("yes"), Reply("no"), answer="text")
    assert () == field_agreement(texts, texts[0].sample)
    assert () == field_agreement([], Sample(0, Reply("{}")))
    assert () == field_agreement(ballots(Reply('{"a":1}')), Sample(9, Reply('{"a":1}')))


def test_it_is_bounded() -> None:
    """At most 64 fields are looked at, and nothing of answers that take long to parse."""
    wide = {f"{field:03}": field for field in range(100)}
    assert [f"/{field:03}" for field in range(64)] == list(shares(wide, wide))
    assert {} == shares({"a": "x" * 70_000})
