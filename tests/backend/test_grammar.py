import json
from typing import Any

import pytest
import torch

from backend.torch.grammar import Guide
from backend.torch.model import Model
from tests.backend.conftest import Serve
from tests.backend.test_server import chat, post

pytestmark = pytest.mark.backend

SCHEMA = {
    "type": "object",
    "properties": {"sum": {"enum": [1, 22, 333]}, "sure": {"enum": ["yes", "no"]}},
    "required": ["sum", "sure"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("temperature", [0, 1])
async def test_an_answer_keeps_to_its_schema(serve: Serve, noisy: Model, temperature: float) -> None:
    """Even random weights write JSON of the schema's form, and the answer ends where the object does."""
    client = await serve(noisy)
    answer = await chat(
        client,
        temperature=temperature,
        seed=3,
        max_tokens=100,
        response_format={"type": "json_schema", "json_schema": {"name": "sum", "schema": SCHEMA}},
    )

    choice = answer["choices"][0]
    content = json.loads(choice["message"]["content"])
    assert {"sum", "sure"} == set(content)
    assert content["sum"] in {1, 22, 333}
    assert content["sure"] in {"yes", "no"}
    assert "stop" == choice["finish_reason"]


async def test_an_answer_is_any_json_object(serve: Serve, demo: Model) -> None:
    """`json_object` begins with a brace, whatever the model would have said."""
    client = await serve(demo)

    answer = await chat(client, max_tokens=3, response_format={"type": "json_object"})

    assert answer["choices"][0]["message"]["content"].startswith("{")


@pytest.mark.parametrize(
    ("form", "allowed"),
    [
        ({"choice": ["left", 'ri"ght']}, {"left", 'ri"ght'}),
        ({"regex": "[ab]{2}"}, {"aa", "ab", "ba", "bb"}),
        ({"json": json.dumps({"const": 7})}, {"7"}),
    ],
)
async def test_vllms_structured_outputs(
    serve: Serve, noisy: Model, form: dict[str, Any], allowed: set[str]
) -> None:
    """Choices, regular expressions and schemas hold on /v1/completions, for each of `n`, with mates of no form."""
    client = await serve(noisy)

    answer = await post(
        client, "/v1/completions", prompt="x", n=3, seed=1, max_tokens=30, structured_outputs=form
    )

    assert {choice["text"] for choice in answer["choices"]} <= allowed
    assert ["stop"] * 3 == [choice["finish_reason"] for choice in answer["choices"]]


def test_more_logits_than_tokens(demo: Model) -> None:
    """Logits beyond the tokenizer's last token are never allowed, and copies of a grammar go their own ways."""
    guide = Guide(demo.tokenizer.backend, demo.tokenizer.ends)
    grammar = guide.grammar("x", "regex", "ab")
    first, second = demo.tokenizer.encode("ab")
    ahead = grammar.fresh()
    ahead.accept(first)

    allowed = [one.restrict(torch.zeros(len(demo.tokenizer) + 300)).isfinite() for one in (grammar, ahead)]

    assert [[first], [second]] == [mask.nonzero().flatten().tolist() for mask in allowed]
