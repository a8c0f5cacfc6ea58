"""What clients make up does not grow the process."""

from tests.doubles.gateway import HELLO, Client, open_gateway
from tests.doubles.upstream import open_upstream


async def odd_requests(client: Client, name: str) -> None:
    """One of each kind, with a name of its own wherever a client can put one."""
    await client.chat(model=name)
    await client.chat(model=name, temperature=1.5)
    await client.post("/v1/chat/completions", HELLO | {name: 1})
    await client.chat({"x-consistency-policy": name})
    await client.chat({"x-consistency-answer": name})
    await client.chat({"x-consistency-k": "2", "x-request-id": name, "authorization": f"Bearer {name}"})
    await client.chat(consistency={"policy": "single", "k": 1}, user=name)
    await client.chat(stream=True, model=name)
    await client.post(f"/v1/{name}", {"model": name})
    await client.post("/v1/completions", {"model": name, "prompt": name})
    await client.post("/v1/chat/completions", name.encode())
    await client.get(f"/{name}")
    await client.get(f"/v1/models/{name}")
    await client.get(f"/v1/consistency/cache/{name}")


async def lines(client: Client) -> set[str]:
    """What is counted, without the numbers."""
    return {line.rpartition(" ")[0] for line in (await client.get("/metrics")).text.splitlines()}


async def test_names_that_clients_make_up_are_no_labels() -> None:
    """Requests with ever new models, policies, paths, ids and keys add no line to /metrics."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        await odd_requests(client, "first")
        await odd_requests(client, "again")  # what is the same for all names is a hit from now on
        known = await lines(client)
        for number in range(5):
            await odd_requests(client, f"name-{number}")
        assert known == await lines(client)
