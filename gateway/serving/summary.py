"""What /v1/consistency/summary says: of one process, or of all the workers of a gateway."""

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway import __version__
from gateway.serving.gateway import Gateway
from gateway.telemetry.consistency import FieldAgreement, Ledger, Told, ToldFields

SUMMARY = "summary"


class Summary(msgspec.Struct, array_like=True):
    """One process's part of it."""

    ledger: list[Told]
    fields: list[ToldFields]
    is_degraded: bool
    sizes: dict[str, int]
    up: dict[str, bool]  # upstreams
    in_flight: int
    flights: int


_DECODER = msgspec.msgpack.Decoder(Summary)


def summary_of(gateway: Gateway, *, with_questions: bool = False) -> Summary:
    """This process's part; `with_questions` for another one that is to add them up."""
    return Summary(
        ledger=gateway.metrics.ledger.tell() if with_questions else [],
        fields=gateway.metrics.fields.tell() if with_questions else [],
        is_degraded=gateway.store.is_degraded,
        sizes=gateway.store.sizes(),
        up={upstream.name: upstream.is_up for upstream in gateway.pool.upstreams},
        in_flight=gateway.in_flight,
        flights=len(gateway.flights),
    )


def encode_summary(gateway: Gateway) -> bytes:
    """The same as bytes, for another worker."""
    return msgspec.msgpack.encode(summary_of(gateway, with_questions=True))


async def summarise(gateway: Gateway) -> dict[str, Any]:
    """What the summary says, over all workers."""
    if gateway.siblings is None:
        return _tell([summary_of(gateway)], gateway.metrics.ledger, gateway.metrics.fields)
    told = await gateway.siblings.ask(SUMMARY)
    summaries = [_DECODER.decode(each) for each in told.values()]
    ledger, fields = Ledger(), FieldAgreement()
    for each in summaries:
        ledger.hear(each.ledger)
        fields.hear(each.fields)
    return _tell(summaries, ledger, fields)


def _tell(summaries: Sequence[Summary], ledger: Ledger, fields: FieldAgreement) -> dict[str, Any]:
    """Several as one: amounts are added up, and of states the worst that any process sees is told."""
    names = dict.fromkeys(name for each in summaries for name in each.up)
    sizes = dict.fromkeys(name for each in summaries for name in each.sizes)
    return {
        "version": __version__,
        "workers": len(summaries),
        "consistency": ledger.rates(),
        "fields": fields.least(),
        "cache": {
            "degraded": any(each.is_degraded for each in summaries),
            **{name: sum(each.sizes.get(name, 0) for each in summaries) for name in sizes},
        },
        "upstreams": {
            name: "up" if all(each.up.get(name, True) for each in summaries) else "down" for name in names
        },
        "in_flight": sum(each.in_flight for each in summaries),
        "flights": sum(each.flights for each in summaries),
    }
