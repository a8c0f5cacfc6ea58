"""The way to an answer: pinned already, being voted on, or to be voted on now."""

from gateway.errors import NotCached
from gateway.serving.asking import Sent
from gateway.serving.gateway import Gateway
from gateway.serving.landing import Landing
from gateway.serving.rounds import land
from gateway.serving.spectator import Spectator
from gateway.serving.wanted import Wanted
from gateway.store.flights import Flight
from gateway.store.protocol import Found


def pin_at_hand(gateway: Gateway, wanted: Wanted) -> Landing | None:
    """The pinned answer if nobody has to be asked for it, as most repeated requests find it. Counts only a hit."""
    fingerprint = gateway.pool.known_fingerprint(wanted.model)
    if fingerprint is None or not wanted.takes_pins:
        return None
    key = wanted.key(fingerprint)
    found = gateway.store.look_up(key)
    return None if found is None else _hit(gateway, found, key)


async def find_pin(gateway: Gateway, wanted: Wanted, key: str) -> Landing | None:
    """The pinned answer, if the request may have it; NotCached if it wants nothing else and there is none."""
    if not (key and wanted.takes_pins):
        gateway.metrics.cache("bypass")
    else:
        found = await gateway.store.get(key)
        if found is not None:
            return _hit(gateway, found, key)
        gateway.metrics.cache("error" if gateway.store.is_degraded else "miss")
    if "only-if-cached" in wanted.cache_control:
        raise NotCached("only-if-cached, and nothing is pinned for this request")
    return None


def _hit(gateway: Gateway, found: Found, key: str) -> Landing:
    gateway.metrics.cache("hit_memory" if found.where == "memory" else "hit_redis")
    return Landing(found.pin, "cache", f"scg; hit; ttl={int(found.ttl)}", key)


async def key_of(gateway: Gateway, wanted: Wanted) -> str:
    """The request's key; "" while nothing is known of the upstreams, and nothing may be cached."""
    fingerprint = await gateway.pool.fingerprint(wanted.model)
    return wanted.key(fingerprint) if fingerprint else ""


def board(
    gateway: Gateway, wanted: Wanted, key: str, sent: Sent, spectator: Spectator | None = None
) -> tuple[Flight[Landing], bool]:
    """The flight to wait for, and whether it is somebody else's.

    `no-store` and `cache: off` share nothing. `no-cache`, and a request that pressure left one sample, share only
    with their like.
    A flight that starts now is watched by `spectator`.
    """

    async def run(flight: Flight[Landing]) -> Landing:
        return await land(gateway, wanted, key, sent, flight.news, spectator)

    if not wanted.is_shared(key):
        return Flight(run), False
    name = " ".join([key, *(["no-cache"] if wanted.replaces else []), *(["shed"] if wanted.asked else [])])
    flight = gateway.flights.find(name)
    if flight is None:
        return gateway.flights.start(name, run), False
    gateway.metrics.cache("joined")
    return flight, True
