"""What /v1/consistency/summary says: of one process, or of all the workers of a gateway."""

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway import __version__
from gateway.core.breaker import CLOSED, HALF_OPEN, OPEN, STATES
from gateway.serving.gateway import Gateway
from gateway.telemetry.consistency import Consistency, FieldAgreement, Told, ToldFields
from gateway.upstream.upstream import Upstream

SUMMARY = "summary"


class Standing(msgspec.Struct, array_like=True):
    """How one process sees an upstream."""

    is_up: bool
    lane: str
    breaker: int  # by `core.breaker`'s numbers
    doubt: str  # why it is not used as the reference lane that it is configured as; "" if it is

    def worse(self, other: "Standing") -> "Standing":
        """Of two processes' views the worse of each: an open breaker, then a half-open one."""
        breaker = max(self.breaker, other.breaker, key=(CLOSED, HALF_OPEN, OPEN).index)
        return Standing(self.is_up and other.is_up, self.lane, breaker, self.doubt or other.doubt)


class Summary(msgspec.Struct, array_like=True):
    """One process's part of it."""

    consistency: list[Told]
    fields: list[ToldFields]
    is_degraded: bool
    sizes: dict[str, int]
    upstreams: dict[str, Standing]
    in_flight: int
    flights: int


_DECODER = msgspec.msgpack.Decoder(Summary)


def summary_of(gateway: Gateway, *, with_questions: bool = False) -> Summary:
    """This process's part; `with_questions` for another one that is to add them up."""
    return Summary(
        consistency=gateway.metrics.consistency.tell() if with_questions else [],
        fields=gateway.metrics.fields.tell() if with_questions else [],
        is_degraded=gateway.store.is_degraded,
        sizes=gateway.store.sizes(),
        upstreams={upstream.name: _standing(upstream) for upstream in gateway.pool.upstreams},
        in_flight=gateway.in_flight,
        flights=len(gateway.flights),
    )


def _standing(upstream: Upstream) -> Standing:
    breaker = upstream.breaker.state(upstream.watch.clock())
    return Standing(upstream.is_up, upstream.settings.lane, breaker, upstream.trust.doubt)


def encode_summary(gateway: Gateway) -> bytes:
    """The same as bytes, for another worker."""
    return msgspec.msgpack.encode(summary_of(gateway, with_questions=True))


async def summarise(gateway: Gateway) -> dict[str, Any]:
    """What the summary says, over all workers."""
    if gateway.siblings is None:
        return _tell([summary_of(gateway)], gateway.metrics.consistency, gateway.metrics.fields)
    told = await gateway.siblings.ask(SUMMARY)
    summaries = [_DECODER.decode(each) for each in told.values()]
    consistency, fields = Consistency(), FieldAgreement()
    for each in summaries:
        consistency.hear(each.consistency)
        fields.hear(each.fields)
    return _tell(summaries, consistency, fields)


def _tell(summaries: Sequence[Summary], consistency: Consistency, fields: FieldAgreement) -> dict[str, Any]:
    """Several as one: amounts are added up, and of states the worst that any process sees is told."""
    upstreams: dict[str, Standing] = {}
    for each in summaries:
        for name, seen in each.upstreams.items():
            upstreams[name] = seen.worse(upstreams.get(name, seen))
    sizes = dict.fromkeys(name for each in summaries for name in each.sizes)
    return {
        "version": __version__,
        "workers": len(summaries),
        "consistency": consistency.rates(),
        "fields": fields.least(),
        "cache": {
            "degraded": any(each.is_degraded for each in summaries),
            **{name: sum(each.sizes.get(name, 0) for each in summaries) for name in sizes},
        },
        "upstreams": {name: _state(seen) for name, seen in upstreams.items()},
        "upstream_states": {name: _describe(seen) for name, seen in upstreams.items()},
        "in_flight": sum(each.in_flight for each in summaries),
        "flights": sum(each.flights for each in summaries),
    }


def _state(seen: Standing) -> str:
    return "up" if seen.is_up else "down"


def _describe(seen: Standing) -> dict[str, str | None]:
    return {
        "state": _state(seen),
        "lane": seen.lane,
        "breaker": STATES[seen.breaker],
        "doubt": seen.doubt or None,
    }
