"""An upstream's own error as clients are told of it: in the shape of their endpoint, whatever its shape was."""

import json
from typing import Any

import pytest

from gateway.wire.forms.table import BY_PATH
from tests.doubles import shapes
from tests.doubles.gateway import HELLO, Client, Got, open_gateway
from tests.doubles.upstream import Reply, open_upstream

Json = dict[str, Any]

PATHS = list(BY_PATH)
BODIES: dict[str, Json] = {
    "/v1/completions": {"model": "m", "prompt": "hello"},
    shapes.RESPONSES: {"model": "m", "input": "hello"},
    shapes.MESSAGES: HELLO | {"max_tokens": 50},
}
OPENAI = {"error": {"message": "no", "type": "BadRequestError", "param": "model", "code": 400}}
FLAT = {"object": "error", **OPENAI["error"]}
DETAIL = {"detail": "Not Found"}
KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
}


async def ask(client: Client, path: str, **members: Any) -> Got:
    return await client.post(path, BODIES.get(path, HELLO) | members)


def expected(path: str, status: int, told: Json) -> Json:
    """The body of the response; `told` as OpenAI has it."""
    if path != shapes.MESSAGES:
        return {"error": told}
    kind = KINDS.get(status, "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": told["message"], "code": told["code"]}}


def own(message: str, kind: str = "invalid_request_error") -> Json:
    return {"message": message, "type": kind, "param": None, "code": "upstream_error"}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, OPENAI, OPENAI["error"]),
        (400, FLAT, OPENAI["error"]),
        (404, DETAIL, own("Not Found")),
        (401, {"error": "no key"}, own("no key")),
        (403, "<html>", own('u0 answered 403: "<html>"', "permission_error")),
        (422, {"detail": [{"loc": ["body", "x"], "msg": "wrong"}]}, own("body.x: wrong")),
        (413, {}, own("u0 answered 413: {}")),
    ],
)
async def test_an_error_has_the_shape_of_its_endpoint(path: str, status: int, body: Any, told: Json) -> None:
    """FastAPI's, an older vLLM's, OpenAI's and what is none: message, type, param and code are kept where there are."""
    reply = Reply(status, json.dumps(body).encode(), {"content-type": "application/problem+json"})
    async with open_upstream(reply) as upstream, open_gateway(upstream) as client:
        got = await ask(client, path)
        assert (status, "application/json") == (got.status, got.headers["content-type"])
        assert expected(path, status, told) == got.json


@pytest.mark.parametrize("path", PATHS)
async def test_an_error_that_clients_can_read_is_passed_on(path: str) -> None:
    """Byte for byte."""
    body = b'{"type": "error",  "error": {"type": "overloaded_error", "message": "no", "x": 1.50}}'
    async with open_upstream(Reply(529, body)) as upstream, open_gateway(upstream) as client:
        got = await ask(client, path)
        assert (529, body) == (got.status, got.body)


async def test_what_is_not_voted_on_passes_as_it_is() -> None:
    """The same endpoint, unvoted: an error in whatever shape, byte for byte."""
    body = b'{"detail":  "Not Found"}'
    async with open_upstream(Reply(404, body)) as upstream, open_gateway(upstream) as client:
        assert (404, body) == ((got := await client.chat(n=2)).status, got.body)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_under_a_200(path: str, stream: bool) -> None:  # noqa: FBT001  a case of the table
    """A plain answer that is an error is the upstream's own, with the status that its code tells."""
    reply = Reply(body=json.dumps({"error": {"message": "no", "type": "t", "code": 404}}).encode())
    async with open_upstream(reply) as upstream, open_gateway(upstream) as client:
        got = await ask(client, path, stream=stream)
        told = {"message": "no", "type": "t", "code": 404}
        assert (404, expected(path, 404, told)) == (got.status, got.json)
