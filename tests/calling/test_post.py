"""One request to servers that break: what is told of it, and whether to ask again."""

from contextlib import AsyncExitStack

import pytest

from gateway.calling.post import Failed, Got, header, open_place, pause_after, post
from tests.doubles.upstream import ENDLESS, HALF, HANG, RESET, Answer, Reply, open_upstream

PATH = "/v1/chat/completions"


async def asked(answer: Answer, patience: float = 60.0) -> Got | Failed:
    async with open_upstream(answer) as upstream, AsyncExitStack() as stack:
        place = open_place(upstream.url, header(None, ()), patience, None, stack)
        return await post(place, PATH, b'{"messages": []}')


@pytest.mark.parametrize(
    ("answer", "patience", "reason", "again"),
    [
        (RESET, 60, "broken", "again"),
        (HALF, 60, "broken", "again"),
        (HANG, 0.2, "timeout", ""),
        (ENDLESS, 60, "too_long", ""),
    ],
)
async def test_no_answer(answer: Answer, patience: float, reason: str, again: str) -> None:
    """Why not, in one word; only what broke is worth another try at once."""
    got = await asked(answer, patience)
    assert isinstance(got, Failed)
    assert (reason, bool(again)) == (got.reason, got.is_broken)


async def test_nobody_there() -> None:
    """It may come back."""
    async with open_upstream() as upstream:
        url = upstream.url
    async with AsyncExitStack() as stack:
        got = await post(open_place(url, (), 60, None, stack), PATH, b"")
    assert isinstance(got, Failed)
    assert ("unreachable", True) == (got.reason, got.is_broken)


@pytest.mark.parametrize(
    ("status", "retry_after", "is_busy", "pause"),
    [(429, "3", True, 3.0), (503, "9999", True, 120.0), (429, "soon", True, 4.0), (500, "1", False, 1.0)],
)
async def test_busy_servers(status: int, retry_after: str, is_busy: object, pause: float) -> None:
    """429 and 503 want to be asked later: when they say so, within reason, else after a pause that grows."""
    fields = {"content-type": "application/json", "retry-after": retry_after}
    got = await asked(Reply(status, b'{"error": {"message": "not\\nnow"}}', fields))
    assert isinstance(got, Got)
    assert (is_busy, pause, f"status {status}: not now") == (
        got.is_busy,
        pause_after(got.asks_for, 2),
        got.words,
    )


def test_the_header() -> None:
    """What the user gives beats what is made, the key included; names are in lower case."""
    made = dict(header("k", [("Authorization", "Basic x"), ("X-A", "b")], [("cache-control", "no-store")]))
    assert ("Basic x", "b", "no-store") == (made["authorization"], made["x-a"], made["cache-control"])
    assert "Bearer k" == dict(header("k", ()))["authorization"]
