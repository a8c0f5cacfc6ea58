"""Reads streams of sse_upstream, so many at once, and says how they came: one JSON object.

stream_client.py URL MODEL STREAMS ROUNDS CHUNKS INTERVAL_MS

Each stream keeps its connection over all rounds; the first round opens it and is not in the times. Chunks are
taken from the socket as they come, with nothing between: one read of the socket is one `data_received`.
"""

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass, field
from statistics import quantiles
from typing import cast
from urllib.parse import urlsplit

import uvloop

_STAMP = re.compile(rb'"content":"(\d+):(\d+) "')


class Decoder:
    """Takes the chunked coding off a response's body; a piece may end anywhere."""

    def __init__(self) -> None:
        self.is_at_end = False
        self._raw = b""
        self._is_in_body = False

    def feed(self, data: bytes) -> bytes:
        """What of the body is in these bytes and what was left of those before."""
        self._raw += data
        if not self._is_in_body:
            head, found, rest = self._raw.partition(b"\r\n\r\n")
            if not found:
                return b""
            if b" 200 " not in head[:16] or b"chunked" not in head.lower():
                raise ValueError(head.decode(errors="replace"))
            self._is_in_body, self._raw = True, rest
        return b"".join(iter(self._chunk, None))

    def _chunk(self) -> bytes | None:
        line, found, rest = self._raw.partition(b"\r\n")
        size = int(line, 16) if found else 0
        if not found or len(rest) < size + 2:
            return None
        self._raw = rest[size + 2 :]
        self.is_at_end = size == 0
        return rest[:size] or None


@dataclass
class Seen:
    """What all streams together saw. Times are milliseconds."""

    first: list[float] = field(default_factory=list)
    delay: list[float] = field(default_factory=list)
    chunks: int = 0
    lost: int = 0
    merged: int = 0
    failed: int = 0


class Stream(asyncio.Protocol):
    """One connection, which carries one stream at a time."""

    def __init__(self, request: bytes, chunks: int, seen: Seen) -> None:
        self._request, self._chunks, self._seen = request, chunks, seen
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        self._transport = cast("asyncio.Transport", transport)

    async def read(self, *, is_counted: bool) -> None:
        """One stream to its end."""
        assert self._transport
        self._decoder, self._text, self._indices = Decoder(), b"", set[int]()
        self._is_counted, self._done = is_counted, asyncio.get_running_loop().create_future()
        self._asked = time.monotonic_ns()
        self._transport.write(self._request)
        await asyncio.wait_for(self._done, 120)
        self._seen.chunks += len(self._indices)
        self._seen.lost += self._chunks - len(self._indices)

    def data_received(self, data: bytes) -> None:
        """One read of the socket."""
        now = time.monotonic_ns()
        try:
            self._text += self._decoder.feed(data)
        except ValueError as error:
            self._done.set_exception(error)
            return
        whole, _, self._text = self._text.rpartition(b"\n\n")
        stamps = [(int(index), int(sent)) for index, sent in _STAMP.findall(whole)]
        self._note(stamps, now)
        if self._decoder.is_at_end and not self._done.done():
            self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """A stream that is under way has failed."""
        if hasattr(self, "_done") and not self._done.done():
            self._done.set_exception(exc or ConnectionResetError("closed in mid-stream"))

    def _note(self, stamps: list[tuple[int, int]], now: int) -> None:
        if self._is_counted and stamps:
            if not self._indices:
                self._seen.first.append((now - self._asked) / 1e6)
            self._seen.delay += ((now - sent) / 1e6 for _, sent in stamps)
            self._seen.merged += len(stamps) - 1
        self._indices.update(index for index, _ in stamps)


async def read_streams(url: str, model: str, streams: int, rounds: int, shape: tuple[int, int]) -> Seen:
    """So many at once, so often, after a first round that is not timed."""
    chunks, interval = shape
    seen, request = Seen(), _request(url, model, chunks, interval)
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 80

    async def one(number: int) -> None:
        await asyncio.sleep(interval / 1000 * number / streams)  # chunks come spread over the interval
        try:
            loop = asyncio.get_running_loop()
            _, stream = await loop.create_connection(lambda: Stream(request, chunks, seen), host, port)
            for turn in range(rounds + 1):
                await stream.read(is_counted=turn > 0)
        except (OSError, ValueError, TimeoutError) as error:
            seen.failed += 1
            print(error, file=sys.stderr)

    await asyncio.gather(*(one(number) for number in range(streams)))
    return seen


def _request(url: str, model: str, chunks: int, interval: int) -> bytes:
    prompt = f"{chunks} chunks {interval} ms apart"
    body = json.dumps(
        {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0.7,
            "stream": True,
        }
    ).encode()
    server = urlsplit(url)
    head = (
        f"POST {server.path}/v1/chat/completions HTTP/1.1\r\nhost: {server.netloc}\r\n"
        f"content-type: application/json\r\nauthorization: Bearer none\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _told(seen: Seen) -> dict[str, float]:
    told: dict[str, float] = {name: getattr(seen, name) for name in ("chunks", "lost", "merged", "failed")}
    for name, values in (("first", seen.first), ("delay", seen.delay)):
        cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else [0.0] * 99
        told |= {f"{name}_ms": cuts[49], f"{name}_p99_ms": cuts[98]}
    return told


if __name__ == "__main__":
    where, named, *numbers = sys.argv[1:]
    how_many, how_often, length, apart = map(int, numbers)
    uvloop.install()
    found = asyncio.run(read_streams(where, named, how_many, how_often, (length, apart)))
    print(json.dumps(_told(found)))
