"""A prompt as a request, and as the question that a gateway would see in it."""

import json
from typing import Any

import pytest

from gateway.audit.prompts import plain_prompt, read_prompts
from gateway.audit.questions import body_of, plan_of
from gateway.audit.spec import Prompt, Spec
from gateway.core.key import ask
from gateway.core.policy import PRESETS
from gateway.upstream.engines import COMPLETIONS

OWN = read_prompts(
    '{"messages": [{"role": "user", "content": "é"}], "temperature": 0.5, "max_completion_tokens": 9}', "f"
)[0][0]


@pytest.mark.parametrize("prompt", [plain_prompt("hello"), plain_prompt("hello", COMPLETIONS), OWN])
def test_ties_break_as_in_the_gateway(prompt: Prompt) -> None:
    """The question is the one that the gateway makes of the very body that is sent."""
    spec = Spec("m", (prompt,))
    sent = json.loads(body_of(spec, prompt, "openai", 0, None))
    assert ask(prompt.path, sent, sent["seed"]).digest == plan_of(spec, prompt, PRESETS["majority"]).question


@pytest.mark.parametrize(
    ("prompt", "engine", "changes", "members"),
    [
        (plain_prompt("x"), "openai", {}, {"temperature": 0.0, "max_tokens": 128, "seed": 1}),
        (plain_prompt("x"), "vllm", {}, {"temperature": 0.0, "max_tokens": 128, "seed": 1, "cache_salt": "s"}),
        (plain_prompt("x"), "lmdeploy", {}, {"temperature": 0.0, "max_tokens": 128, "seed": 1, "top_k": 1}),
        (plain_prompt("x"), "openai", {"vary_seed": True, "temperature": 0.7},
         {"temperature": 0.7, "max_tokens": 128, "seed": 3}),
        (OWN, "openai", {}, {"temperature": 0.5, "max_completion_tokens": 9, "seed": 1}),
    ],
)  # fmt: skip
def test_what_is_sent(prompt: Prompt, engine: str, changes: dict[str, Any], members: dict[str, Any]) -> None:
    """The prompt's own members beat the flags; each engine gets what it takes."""
    spec = Spec("m", (prompt,), **changes)
    sent = json.loads(body_of(spec, prompt, engine, 2, "s"))
    assert {"model": "m", **members} == {name: sent[name] for name in sent if name != "messages"}


def test_answers_are_voted_on_by_the_audit_s_rule() -> None:
    """The rule of the audit takes the place of the policy's; `auto` is what the prompt asks for."""
    spec = Spec("m", (OWN,), answer="number")
    assert "number" == plan_of(spec, OWN, PRESETS["strict"]).answer
    assert "text" == plan_of(Spec("m", (OWN,)), OWN).answer
