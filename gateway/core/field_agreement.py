"""How far the samples agree with the winner on each field of a JSON answer."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from gateway.core.answer.calls import MARK
from gateway.core.answer.json_value import NotJson, encode, parse
from gateway.core.ballot import Ballot, Sample

_MOST_FIELDS = 64
_LARGEST = 65_536  # characters of all different answers together: parsing them again holds everybody up


def field_agreement(ballots: Sequence[Ballot], winner: Sample) -> tuple[tuple[str, float], ...]:
    """The winner's fields as JSON pointers (RFC 6901), each with the share of ballots that have its value.

    Objects are descended into; an array is one value. Tool calls are an array of `name` and `arguments`, and
    that one is descended into. At most 64 fields, in canonical order; none where the winner is no object, or
    the answers are too large. A field that the winner lacks is in no pointer.
    """
    counted = Counter(ballot.answer for ballot in ballots)
    won = next((ballot.answer for ballot in ballots if ballot.sample is winner), None)
    if won is None or sum(map(len, counted)) > _LARGEST:
        return ()
    wanted = _fields(won, _MOST_FIELDS)
    agreeing = Counter[str]()
    for answer, votes in counted.items():
        fields = wanted if answer == won else _fields(answer)
        for pointer, value in wanted.items():
            agreeing[pointer] += votes * (fields.get(pointer) == value)
    return tuple((pointer, agreeing[pointer] / len(ballots)) for pointer in wanted)


def _fields(answer: str, most: int | None = None) -> dict[str, str]:
    """Canonical values by pointer; nothing where the answer is no object and no calls."""
    try:
        tree = parse(answer.removeprefix(MARK))
    except NotJson:
        return {}
    if answer.startswith(MARK):
        tree = {str(position): call for position, call in enumerate(tree)}
    if not isinstance(tree, dict):
        return {}
    leaves = _leaves(tree, "")
    return dict(leaf for leaf, _ in zip(leaves, range(most), strict=False)) if most else dict(leaves)


def _leaves(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict) or (not value and pointer):
        yield pointer, encode(value)
        return
    for name in value:
        yield from _leaves(value[name], f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
