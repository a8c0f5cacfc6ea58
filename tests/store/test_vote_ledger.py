"""The vote ledger on its way to Redis."""

import pytest
from redis.asyncio import Redis

from gateway.core.ledger import Entry
from gateway.store.vote_ledger import VoteLedger
from tests.doubles.redis_server import RedisServer
from tests.store.stores import open_store

pytestmark = pytest.mark.processes


def an_entry(model: str) -> Entry:
    """One of a round of this model's."""
    return Entry(
        key="",
        at=0.0,
        question="",
        model=model,
        policy="majority",
        k=3,
        outcome="majority",
        agreement=1.0,
        winner=0,
        pin="off",
        samples=(),
    )


async def test_what_cannot_be_encoded_holds_up_nothing(redis_server: RedisServer, raw: Redis) -> None:
    """An entry with half a surrogate in it is dropped and counted; those around it are written."""
    async with open_store(redis_server.url) as store:
        metrics = store._keeper._metrics
        ledger = VoteLedger(store, metrics, 100)
        for model in ("first", "half \ud800", "last"):
            ledger.note(an_entry(model))
        await ledger.aclose()
        counts = [
            metrics.registry.get_sample_value("scg_ledger_rounds_total", {"result": result})
            for result in ("written", "dropped")
        ]
    assert [2, 1] == counts
    assert 2 == await raw.xlen("scg:ledger")
