"""What the connections of one door share."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.door.bounds import Bounds
from gateway.door.head import Head
from gateway.door.request import Application
from gateway.heads import Heads

if TYPE_CHECKING:
    from gateway.door.connection import Connection


@dataclass(slots=True, eq=False)
class Site:
    """Who answers, within which bounds, and who is connected."""

    application: Application
    bounds: Bounds
    loop: asyncio.AbstractEventLoop
    now: float = 0.0  # the loop's clock, as of the last tick
    date: str = ""  # as answers tell it, as of then
    heads: Heads[Head] = field(default_factory=Heads)
    connections: "set[Connection]" = field(default_factory=set)
    is_draining: bool = False
