"""What a gateway logs of its requests, and what it does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.upstream import open_upstream
from tests.running.served import Served, serve

pytestmark = pytest.mark.processes

SECRET = "the client's own words"


async def line_of(served: Served, message: str) -> Any:
    return json.loads(await served.logged(f'"message":"{message}"'))


async def test_a_round_is_one_line_of_json(tmp_path: Path) -> None:
    """With the request's id, outcome and figures; a hit is none; nothing of prompt, answer and key is in the log."""
    async with (
        open_upstream("41", "42", "42") as upstream,
        serve(tmp_path, {"upstreams": [{"url": upstream.url}]}) as served,
    ):
        messages = [{"role": "user", "content": SECRET}]
        headers = {"x-request-id": "mine", "authorization": "Bearer key-of-the-client"}
        for _ in range(2):
            got = await served.chat(headers, messages=messages)
        assert ("cache", "42") == (*got.about("source"), got.content)
        told = await line_of(served, "round")
        expected = {
            "level": "info", "request_id": "mine", "endpoint": "chat_completions", "model": "m",
            "policy": "majority", "outcome": "majority", "ballots": 3, "agreement": 0.6667, "pin": "won",
            "upstream": "upstream-1", "key": got.headers["x-consistency-key"],
        }  # fmt: skip
        assert expected.items() <= told.items()
        await served.chat({"x-request-id": "last"}, seed=2)
        last = json.loads(await served.logged('"message":"round"', times=2))
        assert "last" == last["request_id"]
        log = "\n".join(served.log)
        assert [] == [word for word in (SECRET, "key-of-the-client", "content") if word in log]


async def test_a_failed_request_is_one_line(tmp_path: Path) -> None:
    """With its id, status and the error's code; the message, which may quote the request, is left out."""
    async with (
        open_upstream(500) as upstream,
        serve(tmp_path, {"upstreams": [{"url": upstream.url}]}) as served,
    ):
        await served.chat({"x-request-id": "bad"}, consistency={"policy": SECRET})
        told = await line_of(served, "request failed")
        expected = {"level": "info", "request_id": "bad", "status": 400, "code": "invalid_value"}
        assert expected.items() <= told.items()
        await served.chat({"x-request-id": "worse"})
        told = json.loads(await served.logged('"message":"request failed"', times=2))
        assert ("warning", "worse", 500) == (told["level"], told["request_id"], told["status"])
        assert SECRET not in "\n".join(served.log)


async def test_prompts_are_logged_for_those_who_want_it(tmp_path: Path) -> None:
    """With `prompts: on` a round's line has the request's body and the winner's."""
    async with open_upstream("42") as upstream:
        settings = {"upstreams": [{"url": upstream.url}], "log": {"prompts": "on"}}
        async with serve(tmp_path, settings) as served:
            got = await served.chat(messages=[{"role": "user", "content": SECRET}])
            told = await line_of(served, "round")
            assert SECRET == json.loads(told["request"])["messages"][0]["content"]
            assert got.body == told["answer"].encode()


async def test_text_and_levels(tmp_path: Path) -> None:
    """`format: text` is text, and below its level nothing is logged."""
    async with open_upstream("42", 500, 500) as upstream:
        settings = {
            "upstreams": [{"url": upstream.url}],
            "vote": {"k": 1},
            "log": {"format": "text", "level": "warning"},
        }
        async with serve(tmp_path, settings) as served:
            await served.chat()
            await served.chat({"x-request-id": "bad"}, seed=2)
            line = await served.logged("request failed")
            assert (True, True) == (" WARNING request failed request_id=bad " in line, " status=500 " in line)
            assert [] == [line for line in served.log if "round" in line or "listening" in line]
