"""A client's connection as bytes: sent no faster than the client reads, and ended so that it sees the end."""

import asyncio
from math import inf
from typing import cast

from gateway.door.site import Site


class Line(asyncio.Protocol):
    """One connection. `deadline` is when something has to have happened, by the site's clock."""

    def __init__(self, site: Site) -> None:
        self.deadline = inf
        self.remote = ""  # the client's address
        self.is_full = False  # what was sent waits for the client to read
        self.is_closing = False
        self._site = site
        self._bounds = site.bounds
        self._transport: asyncio.Transport
        self._caught_up: asyncio.Future[None] | None = None
        self._unsent = 0  # bytes that waited for the client at the last look
        self._is_paused = False

    @property
    def unsent(self) -> int:
        """Bytes that wait for the client."""
        return self._transport.get_write_buffer_size()

    def send(self, data: bytes) -> None:
        """Send bytes, to nobody if the client has left."""
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the client has caught up; ConnectionResetError if it leaves, or has left."""
        if self._transport.is_closing():
            raise ConnectionResetError("the client has left")
        if self.is_full:
            self._caught_up = self._site.loop.create_future()
            await self._caught_up

    def hang_up(self, *, is_heard: bool) -> None:
        """End the connection once all is sent.

        A client that may still be sending is heard out for a while: a reset would overtake what it was told.
        """
        self.is_closing = True
        if self._transport.is_closing():
            return
        if is_heard:
            self.deadline = self._site.now + self._bounds.stall
            self._transport.close()
        else:
            self.deadline = self._site.now + self._bounds.linger
            self._transport.write_eof()
            self.listen()

    def abort(self) -> None:
        """End it at once."""
        self.is_closing = True
        self._transport.abort()

    def pause(self) -> None:
        """Let the client wait with what it sends."""
        if not (self._is_paused or self.is_closing):
            self._is_paused = True
            self._transport.pause_reading()

    def listen(self) -> None:
        """Hear it again."""
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def gets_on(self) -> bool:
        """Whether the client, slow as it is, has read anything since the last look; if so it has more time."""
        before, self._unsent = self._unsent, self.unsent
        if not self._unsent or self._unsent == before:
            return False
        self.deadline = self._site.now + self._bounds.stall
        return True

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own are no subclass of it
        self.remote = (transport.get_extra_info("peername") or ("",))[0]
        self.deadline = self._site.now + self._bounds.head

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self.is_full = True
        self._unsent = self.unsent
        self.deadline = self._site.now + self._bounds.stall

    def resume_writing(self) -> None:
        """It has caught up."""
        self.is_full = False
        self.deadline = inf
        if self._caught_up is not None and not self._caught_up.done():
            self._caught_up.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  however it ended
        """It has left, or was sent away."""
        self.is_closing = True
        if self._caught_up is not None and not self._caught_up.done():
            self._caught_up.set_exception(ConnectionResetError("the client has left"))
