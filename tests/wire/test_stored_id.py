"""The id of an answer that passes in pieces, found as early as can be and nowhere else."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.stored_id import StoredId
from tests.doubles import shapes

PLAIN = shapes.plain(shapes.RESPONSES, "x", 7)
STREAM = shapes.stream(shapes.RESPONSES, "x", 7)
LATE = json.dumps({"created_at": 1, "output": [{"id": "msg_1"}], "id": "resp_7", "z": 1}).encode()
DEEP = b"[" * 100_000
NESTED = json.dumps({"metadata": {"id": "resp_other"}, "id": "resp_7"}).encode()


def found(body: bytes, cuts: list[int], *, streamed: bool) -> list[str]:
    """What is found in a body that is cut at these places."""
    listening, places = StoredId(streamed=streamed), sorted({0, len(body), *cuts})
    pieces = [body[one:other] for one, other in pairwise(places)]
    return [each for piece in [*pieces, b""] if (each := listening.feed(piece))]


@pytest.mark.parametrize(
    ("body", "streamed"),
    [(PLAIN, False), (LATE, False), (NESTED, False), (STREAM, True), (b": hold on\n\n" + STREAM, True)],
)
@given(data=st.data())
def test_it_is_found_once_however_it_comes(body: bytes, streamed: bool, data: st.DataObject) -> None:  # noqa: FBT001
    """In whatever pieces, with other ids before it and with comments before the first event."""
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=8))
    assert ["resp_7"] == found(body, cuts, streamed=streamed)


@pytest.mark.parametrize(
    ("body", "streamed"),
    [
        (b"", False), (b"", True), (b"[]", False), (b'{"id":7}', False), (b'{"id":"\xff"}', False), (b"\xff", False),
        (b'{"id":"resp_7', False), (b'{"response":{"id":"resp_7"}}', False), (b'{"error":{"id":"resp_7"}}', False),
        (b'{"a":' + DEEP, False), (b'data: {"response":' + DEEP + b"\n\n", True),
        (b"data: x\n\n", True), (b'data: {"id":"resp_7"}\n\n', True), (b'data: {"response":7}\n\n' + STREAM, True),
    ],
)  # fmt: skip
def test_what_is_no_id_is_none(body: bytes, streamed: bool) -> None:  # noqa: FBT001
    """Nothing is found where nothing is, in broken answers, or elsewhere than where an id stands."""
    assert [] == found(body, [], streamed=streamed)


def test_it_does_not_listen_for_ever() -> None:
    """After a first event, after the id, or after a megabyte, nothing more is kept or looked at."""
    stream, plain, long = StoredId(streamed=True), StoredId(streamed=False), StoredId(streamed=False)
    assert ("", True) == (stream.feed(b"data: x\n\n"), stream.is_over)
    assert ("resp_7", True) == (plain.feed(b'{"id":"resp_7"'), plain.is_over)
    for _ in range(17):
        long.feed(b" " * 65_536)
    assert long.is_over
