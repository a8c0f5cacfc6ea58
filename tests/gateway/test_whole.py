"""Whole answers on the wire, byte by byte."""

import asyncio
import json

import pytest

from tests.doubles.gateway import HELLO, Client, open_gateway
from tests.doubles.upstream import Reply, open_upstream, plain

BODY = json.dumps(HELLO).encode()


async def talk(client: Client, *requests: bytes) -> bytes:
    """Everything that the gateway sends on one connection until it closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(client.url.rpartition(":")[2]))
    writer.write(b"".join(requests))
    answer = await reader.read()
    writer.close()
    return answer


def chat(version: bytes = b"1.1", *fields: bytes) -> bytes:
    head = b"POST /v1/chat/completions HTTP/%b\r\nhost: a\r\ncontent-length: %d\r\n" % (version, len(BODY))
    return head + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + BODY


@pytest.mark.parametrize(
    ("requests", "connections"),
    [
        ((chat(b"1.1", b"connection: close"),), [b"close"]),
        ((chat(), chat(b"1.1", b"connection: close")), [b"", b"close"]),
        ((chat(b"1.0"),), [b"close"]),
        ((chat(b"1.0", b"connection: keep-alive"), chat(b"1.0")), [b"keep-alive", b"close"]),
    ],
)
async def test_connections_are_kept_as_the_client_asks(
    requests: tuple[bytes, ...], connections: list[bytes]
) -> None:
    """HTTP/1.0 and 1.1, kept and closed: whole answers with their length, the connection as agreed."""
    async with open_upstream("42") as upstream, open_gateway(upstream) as client:
        rest = await talk(client, *requests)
        for connection in connections:
            head, _, rest = rest.partition(b"\r\n\r\n")
            fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
            length = int(fields[b"content-length"])
            assert (b"HTTP/1.1 200 OK", connection) == (
                head.split(b"\r\n")[0],
                fields.get(b"connection", b""),
            )
            assert (plain("42", 0), fields[b"date"].endswith(b" GMT")) == (rest[:length], True)
            rest = rest[length:]
        assert b"" == rest


async def test_large_answers_come_whole() -> None:
    """A body of many megabytes, read slowly, arrives to the last byte."""
    text = "é" * 5_000_000
    async with open_upstream(text) as upstream, open_gateway(upstream) as client:
        assert text == (await client.chat(consistency={"k": 1})).content
        assert text == (await client.chat(consistency={"k": 1})).content


async def test_the_upstreams_fields_come_back_beside_ours() -> None:
    """Rate limits of the winner pass back on a vote, and are not kept with the pin."""
    reply = Reply(
        body=plain("42", 0),
        headers={"content-type": "application/json", "x-ratelimit-remaining-requests": "9"},
    )
    async with open_upstream(reply) as upstream, open_gateway(upstream) as client:
        assert "9" == (await client.chat()).headers["x-ratelimit-remaining-requests"]
        assert "x-ratelimit-remaining-requests" not in (await client.chat()).headers


async def test_no_field_comes_twice() -> None:
    """What both the upstream and we would say of an answer that passes through is said once."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        headers = (await client.post("/v1/embeddings", {"input": "a"})).response.headers
        assert [1] * 4 == [
            len(headers.getall(name)) for name in ("content-type", "content-length", "x-request-id", "date")
        ]
