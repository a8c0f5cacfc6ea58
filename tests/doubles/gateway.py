"""A gateway in the test's own process, on a real socket."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientResponse, ClientSession
from multidict import CIMultiDict, CIMultiDictProxy
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from gateway import app
from gateway.door.door import Door
from gateway.serving.gateway import Gateway
from gateway.settings.model import Settings, UpstreamSettings
from tests.doubles.upstream import Upstream

Fields = Mapping[str, str] | CIMultiDict[str]

HELLO = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "temperature": 0}


@dataclass
class Client:
    """A client's view of a gateway, and for the curious its inside."""

    url: str
    session: ClientSession
    inside: Gateway
    door: Door

    async def chat(self, headers: Fields | None = None, **members: Any) -> "Got":
        """POST /v1/chat/completions: the usual question, with these members on top."""
        return await self.post("/v1/chat/completions", HELLO | members, headers)

    async def post(self, path: str, body: Any, headers: Fields | None = None) -> "Got":
        """POST a JSON value, or bytes as they are."""
        sent = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.session.post(self.url + path, headers=headers, **sent) as response:
            return await Got.read(response)

    async def get(self, path: str, headers: Fields | None = None) -> "Got":
        async with self.session.get(URL(self.url + path, encoded=True), headers=headers) as response:
            return await Got.read(response)

    async def metric(self, name: str, **labels: str) -> float:
        """A sample's value on /metrics; 0 if it is not there."""
        families = text_string_to_metric_families((await self.get("/metrics")).text)
        samples = (sample for family in families for sample in family.samples)
        return next((each.value for each in samples if each.name == name and each.labels == labels), 0.0)


@dataclass
class Got:
    """A whole response."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    response: ClientResponse

    @staticmethod
    async def read(response: ClientResponse) -> "Got":
        return Got(response.status, response.headers, await response.read(), response)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def content(self) -> str:
        """What the assistant said."""
        content: str = self.json["choices"][0]["message"]["content"]
        return content

    def about(self, *names: str) -> tuple[str, ...]:
        """Values of `x-consistency-*` fields."""
        return tuple(self.headers[f"x-consistency-{name}"] for name in names)


@asynccontextmanager
async def open_gateway(
    *upstreams: Upstream, known: Mapping[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Client]:
    """A gateway in front of these doubles, once it is ready. `known` is what is configured of each of them."""
    named = tuple(
        UpstreamSettings(name=f"u{at}", url=each.url, **(known or {})) for at, each in enumerate(upstreams)
    )
    async with open_gateway_for(Settings(**({"upstreams": named} | settings))) as client:
        yield client


@asynccontextmanager
async def open_gateway_for(settings: Settings) -> AsyncIterator[Client]:
    """A gateway with these settings, once its first look at the upstreams has ended."""
    async with app.open_gateway(settings) as inside:
        await inside.pool.first_look.wait()
        door = app.make_door(inside)
        address = await door.open("127.0.0.1", 0)
        try:
            async with ClientSession() as session:
                yield Client(f"http://{address}", session, inside, door)
        finally:
            await door.close()
