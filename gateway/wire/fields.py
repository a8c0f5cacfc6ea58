"""Header fields that keep what is made of them."""

from collections.abc import Callable
from typing import Any, TypeVar

Made = TypeVar("Made")


class Fields(tuple[tuple[str, str], ...]):  # noqa: SLOT001  a tuple's subclass can have no slots but empty ones
    """Header fields in order. Those of a head that is kept (see `gateway.heads`) come again as the same object."""

    _made: dict[Callable[["Fields"], Any], Any] | None = None

    def once(self, make: "Callable[[Fields], Made]") -> Made:
        """What `make` makes of these fields, made once."""
        if self._made is None:
            self._made = {}
        made = self._made.get(make)
        if made is None:
            made = self._made[make] = make(self)
        found: Made = made
        return found
