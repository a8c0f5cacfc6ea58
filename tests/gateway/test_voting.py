"""The vote as a client sees it, against scripted upstreams on real sockets."""

import asyncio
from itertools import permutations

import pytest

from tests.doubles.gateway import open_gateway
from tests.doubles.upstream import HTML, RESET, open_upstream


async def test_the_mode_is_returned_byte_for_byte() -> None:
    """41, 42, 42: the first 42 comes back as it was sent, labelled 2 of 3."""
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as client:
        got = await client.chat()
        assert (200, b'"content": "42"' in got.body, b'{"\xc3\xa9": 1.5}' in got.body) == (got.status, True, True)
        assert ("majority", "0.67", "3", "3", "2", "1") == got.about(
            "outcome", "agreement", "k", "samples", "distinct", "divergence"
        )
        assert ("vote", "scg; fwd=miss; stored") == (*got.about("source"), got.headers["cache-status"])
        assert 3 == len(upstream.seen)
