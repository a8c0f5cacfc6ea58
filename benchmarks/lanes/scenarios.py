"""What is compared: ways to one answer, as data. This table is all there is to a way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FAST, SERIAL, INVARIANT = "fast", "serial", "invariant"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way: straight to the fast lane, or through a gateway with this `vote`.

    Attributes:
        vote: the gateway's `vote` setting; None: no gateway.
        reference: the lane that is the gateway's reference lane, if it has one.
        is_pinned: everything is asked once before it is measured, so that answers are hits.
    """

    name: str
    title: str
    vote: Mapping[str, Any] | None = None
    reference: str | None = None
    is_pinned: bool = False

    @property
    def lanes(self) -> tuple[str, ...]:
        """The lanes that it takes."""
        return (FAST,) if self.reference is None else (FAST, self.reference)


# Copies that start this far apart meet other batches, and share no prefix with each other.
_APART = {"spread": "staggered:500ms", "salt": True}

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("plain", "plain server, no gateway"),
    Scenario("single", "`single`", {"policy": "single", "measure": 0}),
    Scenario("measured", "`single`, `measure: 0.05`", {"policy": "single", "measure": 0.05}),
    Scenario("invariant", "`reference`, invariant lane", {"policy": "reference"}, INVARIANT),
    Scenario("serial", "`serial`, batch size 1", {"policy": "serial"}, SERIAL),
    Scenario("majority-3", "`majority`, k=3 together", {"policy": "majority", "k": 3}),
    Scenario("majority-5", "`majority`, k=5 together", {"policy": "majority", "k": 5}),
    Scenario(
        "majority-3-apart", "`majority`, k=3 decorrelated", {"policy": "majority", "k": 3, **_APART}
    ),
    Scenario(
        "majority-5-apart", "`majority`, k=5 decorrelated", {"policy": "majority", "k": 5, **_APART}
    ),
    Scenario("strict-invariant", "`strict`, invariant lane", {"policy": "strict"}, INVARIANT),
    Scenario("strict-serial", "`strict`, batch size 1", {"policy": "strict"}, SERIAL),
    Scenario("pinned", "pinned", {"policy": "majority", "recheck": 0}, is_pinned=True),
)  # fmt: skip
NAMES = tuple(scenario.name for scenario in SCENARIOS)
