"""What goes on from something that an upstream has stored, and what can be gone on from: to one upstream, no other."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.upstream.client import Exchange, Unreachable, UpstreamFailure, field
from gateway.upstream.holders import Holders
from gateway.upstream.pool import Pool
from gateway.upstream.turns import LoneTurn, Turn
from gateway.upstream.upstream import Upstream
from gateway.wire.answers import is_stream
from gateway.wire.stored_id import StoredId

_RESPONSES, _CONVERSATIONS = "/v1/responses/", "/v1/conversations"
_ASKED_OF = frozenset({"compact", "input_tokens"})  # under _RESPONSES without being an id


class Sequel:
    """One request, by the id of what it goes on from, and by whether its answer has an id of that kind."""

    __slots__ = ("_holder", "_param", "_stored", "is_stored")

    def __init__(self, stored: str = "", param: str | None = None, *, is_stored: bool = False) -> None:
        self.is_stored = is_stored
        self._stored = stored
        self._param = param  # the member that has the id
        self._holder: Upstream | None = None

    async def turn(self, pool: Pool, model: str) -> Turn:
        """Who may be asked: the holder alone, in whatever state it is; any if none is known; UpstreamGone."""
        if self._stored:
            self._holder = await pool.holders.find(self._stored, self._param)
        return pool.turn(model) if self._holder is None else LoneTurn(self._holder)

    async def answered(self, pool: Pool, upstream: Upstream, exchange: Exchange) -> "Listener | None":
        """An upstream's answer begins, and is no error: who listens for its id, if it has one.

        A conversation keeps its id, so it is noted anew each time that it is gone on from.
        """
        if self._stored and self._param == "conversation":
            await pool.holders.note(self._stored, upstream)
        if not self.is_stored:
            return None
        streamed = is_stream(field(exchange.headers, "content-type"))
        return Listener(pool.holders, upstream, streamed=streamed)

    def failed(self, failure: UpstreamFailure) -> str:
        """What a client is told where only one upstream could have answered, and was not reached; else ""."""
        if self._holder is None or not isinstance(failure, Unreachable):
            return ""
        return f"upstream {self._holder.name} cannot be reached, and no other one knows of {self._stored}"


class Listener:
    """Notes who holds an answer before its client can know the id."""

    __slots__ = ("_found", "_holders", "_upstream")

    def __init__(self, holders: Holders, upstream: Upstream, *, streamed: bool) -> None:
        self._found = StoredId(streamed=streamed)
        self._holders = holders
        self._upstream = upstream

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to listen for."""
        return self._found.is_over

    async def hear(self, *pieces: bytes) -> None:
        """Pieces of the answer, about to be passed on; b"" is its end."""
        for piece in pieces:
            if stored := self._found.feed(piece):
                await self._holders.note(stored, self._upstream)


def of_response(members: Mapping[str, Any]) -> Sequel:
    """A request for a response. What is asked not to be stored cannot be gone on from."""
    is_stored = members.get("store") is not False
    for param in ("previous_response_id", "conversation"):
        given = members.get(param)
        stored = given.get("id") if isinstance(given, dict) else given
        if stored and isinstance(stored, str):
            return Sequel(stored, param, is_stored=is_stored)
    return Sequel(is_stored=is_stored)


def of_path(method: str, path: str, body: bytes) -> Sequel | None:
    """A request to one of the other paths of responses and conversations; None for any other path."""
    if path.startswith(_RESPONSES):
        stored = path.removeprefix(_RESPONSES).partition("/")[0]
        return _of_body(body) if stored in _ASKED_OF else Sequel(stored)
    if path == _CONVERSATIONS:
        return Sequel(is_stored=method == "POST")
    if path.startswith(_CONVERSATIONS + "/"):
        return Sequel(path.removeprefix(_CONVERSATIONS + "/").partition("/")[0])
    return None


class _Follows(msgspec.Struct):
    previous_response_id: Any = None
    conversation: Any = None


_FOLLOWS = msgspec.json.Decoder(_Follows)


def _of_body(body: bytes) -> Sequel | None:
    try:
        members = msgspec.structs.asdict(_FOLLOWS.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # the upstream will say what is wrong with it
    return of_response(members | {"store": False})
