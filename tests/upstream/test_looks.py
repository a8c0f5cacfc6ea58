"""What a look at an upstream finds, and what of it tells one model from another."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings.model import Timeouts
from gateway.upstream.aiohttp_client import AiohttpClient
from gateway.upstream.client import Client, UpstreamFailure
from gateway.upstream.looks import DOWN, Look, fingerprint, list_models, look
from tests.doubles.redis_server import free_port
from tests.doubles.upstream import Reply, open_upstream
from tests.upstream.raw_server import Connection, breaking, hanging, keeping, open_raw, response

NOTHING = Look(reachable=True, models={})


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = AiohttpClient(Timeouts(connect=30, first_byte=30, idle=30))
    yield made
    await made.aclose()


def models(*listed: dict[str, Any], **around: Any) -> Reply:
    return Reply(body=json.dumps({"object": "list", "data": [*listed], **around}).encode())


async def described(client: Client, listed: Reply, version: Reply | None = None) -> Look:
    """What a look finds at a server that answers like this."""
    async with open_upstream() as upstream:
        upstream.models = listed
        upstream.version = version or upstream.version
        return await look(client, upstream.url, [])


async def test_a_look(client: Client) -> None:
    """A server that lists models is there, with what tells each of them from another."""
    found = await described(
        client, models({"id": "m", "root": "/models/m", "max_model_len": 4096}, {"id": "lora", "parent": "m"})
    )
    assert (True, ["m", "lora"]) == (found.reachable, [*found.models])
    assert ["m", "/models/m", None, 4096, "0.32.0"] == json.loads(found.models["m"])
    assert ["lora", None, "m", None, "0.32.0"] == json.loads(found.models["lora"])


async def test_what_does_not_matter(client: Client) -> None:
    """When a model was loaded, who may do what with it and what nobody knows make no difference."""
    plain = {"id": "m", "root": "m", "max_model_len": 4096, "owned_by": "vllm"}
    more = plain | {"created": 1, "permission": [{"id": "modelperm-1", "created": 1}], "new": {"x": 1}}
    assert await described(client, models(plain)) == await described(client, models(more, new=1))


@pytest.mark.parametrize(
    ("member", "value"),
    [("id", "m2"), ("root", "other"), ("root", None), ("parent", "base"), ("max_model_len", 8192)],
)
async def test_what_matters(client: Client, member: str, value: Any) -> None:
    """A change of any of these makes it another model."""
    plain = {"id": "m", "root": "m", "max_model_len": 4096}
    one = await described(client, models(plain))
    other = await described(client, models(plain | {member: value}))
    assert {*one.models.values()}.isdisjoint(other.models.values())


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (Reply(body=b'{"version":"0.33.0"}'), "0.33.0"),
        (Reply(body=b"{}"), None),
        (Reply(body=b'{"version":null}'), None),
        (Reply(body=b'{"version":5}'), None),
        (Reply(body=b"<html>"), None),
        (Reply(body=b"\xff"), None),
        (Reply(body=b"[" * 10_000), None),
        (Reply(404, b'{"version":"9"}'), None),
        (Reply(500, b"oops"), None),
    ],
)
async def test_versions(client: Client, version: Reply, told: str | None) -> None:
    """The version is part of the description where the server tells one."""
    found = await described(client, models({"id": "m"}), version)
    assert [told] == [json.loads(text)[-1] for text in found.models.values()]


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        (Reply(200, b'{"data":[]}'), NOTHING),
        (Reply(200, b"{}"), NOTHING),
        (Reply(200, b'{"data":null}'), NOTHING),
        (Reply(200, b'{"data":["m"]}'), NOTHING),
        (Reply(200, b'{"data":[{"id":5}]}'), NOTHING),
        (Reply(200, b'{"data":[{}]}'), NOTHING),
        (Reply(200, b'{"data":[{"id":"m","max_model_len":"long"}]}'), NOTHING),
        (Reply(200, b"<html>hello</html>"), NOTHING),
        (Reply(200, b'{"data":[{"id":"\xff"}]}'), NOTHING),
        (Reply(200, b"[" * 10_000), NOTHING),
        (Reply(200, b'{"x":' + b"[" * 10_000), NOTHING),
        (Reply(200, b""), NOTHING),
        (Reply(204, b""), NOTHING),
        (Reply(307, b"", {"location": "http://127.0.0.1:1/"}), NOTHING),
        (Reply(401, b"no"), NOTHING),
        (Reply(404, b"no"), NOTHING),
        (Reply(429, b"slow down"), NOTHING),
        (Reply(500, b"oops"), DOWN),
        (Reply(503, b"loading"), DOWN),
    ],
)
async def test_odd_lists(client: Client, listed: Reply, found: Look) -> None:
    """A server that answers below 500 is there, whatever it answers; at 500 and above it is not."""
    assert found == await described(client, listed)


async def test_down(client: Client) -> None:
    """A server that refuses, breaks off or says garbage is not there."""
    assert DOWN == await look(client, f"http://127.0.0.1:{free_port()}", [])
    for data in (b"", b"garbage\r\n\r\n", response(b"{}")[:-1]):
        async with open_raw(breaking(data)) as raw:
            assert DOWN == await look(client, raw.url, [])


async def test_silence_is_down() -> None:
    """A server that does not answer in time is not there."""
    client = AiohttpClient(Timeouts(connect=30, first_byte=0.05, idle=30))
    async with open_raw(hanging()) as raw:
        assert DOWN == await look(client, raw.url, [])
    await client.aclose()


async def test_an_endless_list_is_down(client: Client) -> None:
    """A list without an end is given up at its bound, and its connection closed."""

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await connection.send(b" " * 65536)

    async with open_raw(play) as raw:
        assert DOWN == await look(client, raw.url, [])


async def test_a_look_carries_its_header(client: Client) -> None:
    """The server's key goes with every question."""
    async with open_raw(keeping(response(b'{"data":[{"id":"m"}]}'), response(b"{}"), response(b"{}"))) as raw:
        await look(client, raw.url, [("authorization", "Bearer x")])
        requests = raw.connections[0].requests
        assert [b"GET /v1/models", b"GET /version", b"GET /openapi.json"] == [
            each.split(b" HTTP/1.1\r\n")[0] for each in requests
        ]
        assert [True] * 3 == [b"authorization: Bearer x\r\n" in each for each in requests]


async def test_a_server_that_hides_its_routes_is_there(client: Client) -> None:
    """A server that breaks off or is silent when it is asked for its routes is none the worse for it."""

    async def play(connection: Connection) -> None:
        for body in (b'{"data":[{"id":"m"}]}', b"{}"):
            await connection.request()
            await connection.send(response(body))
        await connection.request()

    async with open_raw(play) as raw:
        found = await look(client, raw.url, [])
    assert (True, ["m"], "openai") == (found.reachable, [*found.models], found.engine)


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        (
            models({"id": "a", "created": 1, "é": [1.5]}, {"id": "b"}),
            [{"id": "a", "created": 1, "é": [1.5]}, {"id": "b"}],
        ),
        (models({"id": "a"}, {"object": "model"}), [{"id": "a"}]),
        (Reply(body=b'{"data":["a",{"id":"b"},null]}'), [{"id": "b"}]),
        (Reply(body=b'{"data":null}'), []),
        (Reply(body=b'{"data":5}'), []),
        (Reply(body=b"[]"), []),
        (Reply(body=b"null"), []),
        (Reply(body=b"<html>"), []),
        (Reply(body=b"\xff"), []),
        (Reply(body=b"[" * 10_000), []),
        (Reply(401, b"no"), []),
        (Reply(500, b"oops"), []),
    ],
)
async def test_listing(client: Client, listed: Reply, found: list[dict[str, Any]]) -> None:
    """Models are listed as the server lists them, whole; none where it lists none, and what it says instead is kept."""
    async with open_upstream() as upstream:
        upstream.models = listed
        listing = await list_models(client, upstream.url, [])
        assert (found, listed.status, listed.body) == (listing.models, listing.status, listing.body)


async def test_listing_at_a_server_that_is_away(client: Client) -> None:
    """A server that is away is an UpstreamFailure for who asks for its list."""
    with pytest.raises(UpstreamFailure):
        await list_models(client, f"http://127.0.0.1:{free_port()}", [])


texts = st.lists(st.text(max_size=3), min_size=1, max_size=5)


@given(texts, st.randoms(use_true_random=False), st.integers(1, 3))
def test_number_and_order_do_not_matter(described: list[str], random: Any, times: int) -> None:
    """A pool's fingerprint is the same for any order and any number of equal servers."""
    shuffled = described * times
    random.shuffle(shuffled)
    assert fingerprint(described) == fingerprint(shuffled)


@given(texts, texts)
def test_different_pools_differ(one: list[str], other: list[str]) -> None:
    """Pools share a fingerprint only if their servers say the same."""
    assert (set(one) == set(other)) == (fingerprint(one) == fingerprint(other))
