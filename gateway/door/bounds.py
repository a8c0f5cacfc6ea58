"""How much, and for how long, a client may."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Sizes in bytes, times in seconds. Times are kept to within half a second."""

    max_body: int
    max_head: int = 64 << 10
    head: float = 30.0  # for a head to come in whole
    body: float = 60.0  # between two pieces of a body
    # Between requests: longer than load balancers keep a connection, so that they close first.
    idle: float = 620.0
    stall: float = 60.0  # without reading a byte of what is sent
    linger: float = 2.0  # to read on after a refusal, so that the client sees it
