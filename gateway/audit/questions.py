"""A prompt under a spec: the body of its requests, and how its answers are read and voted on."""

import json
from typing import Any

from gateway.audit.spec import Prompt, Spec
from gateway.core.key import ask
from gateway.core.plan import Plan
from gateway.core.policy import PRESETS, Policy
from gateway.upstream.engines import sample_members
from gateway.wire.forms.form import Asking, Form
from gateway.wire.forms.table import BY_PATH

_LENGTHS = ("max_tokens", "max_completion_tokens")


def form_of(prompt: Prompt) -> Form:
    """The form of the endpoint at which a prompt is asked."""
    return BY_PATH[prompt.path]


def asking_of(spec: Spec, prompt: Prompt) -> Asking:
    """What a prompt asks for; BadRequest names a member that cannot be taken."""
    return form_of(prompt).asks(_members(spec, prompt))


def body_of(spec: Spec, prompt: Prompt, engine: str, turn: int, salt: str | None) -> bytes:
    """The body of the request for one copy of a prompt. Copies that share a turn have the same one, byte for byte."""
    texts = _texts(spec, prompt)
    seed = spec.seed + (turn if spec.vary_seed else 0)
    greedy = json.loads(texts["temperature"]) == 0
    texts |= sample_members(engine, prompt.path, seed=seed, salt=salt, greedy=greedy)
    return ("{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in texts.items()) + "}").encode()


def plan_of(spec: Spec, prompt: Prompt, policy: Policy = PRESETS["single"]) -> Plan:
    """How a gateway would vote on a prompt under a policy, with the audit's rule of answers."""
    asking, question = asking_of(spec, prompt), ask(prompt.path, _members(spec, prompt), spec.seed)
    policy = policy.override({"answer": spec.answer})
    return Plan(policy, question.seed, asking.greedy, question.digest, asking.has_tools, asking.wants_json)


def _texts(spec: Spec, prompt: Prompt) -> dict[str, str]:
    texts = {"model": json.dumps(spec.model), **dict(prompt.members)}
    texts.setdefault("temperature", json.dumps(spec.temperature))
    if not any(name in texts for name in _LENGTHS):
        texts["max_tokens"] = str(spec.max_tokens)
    return texts


def _members(spec: Spec, prompt: Prompt) -> dict[str, Any]:
    return {name: json.loads(text) for name, text in _texts(spec, prompt).items()}
