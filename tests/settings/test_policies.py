"""The default policy, one's own policies, and routes."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as run_with
from hypothesis import strategies as st

from gateway.core.policy import FIELDS, PRESETS, Policy
from gateway.settings.policy_schema import PolicyDefinition, PolicySection, VoteSection
from tests.settings.loading import URL, complaints, settings


def test_a_policy_has_every_field_of_the_core() -> None:
    """What the core knows of a policy can be configured, and nothing else."""
    assert set(FIELDS) == set(PolicySection.model_fields)
    assert {*FIELDS, "extends"} == set(PolicyDefinition.model_fields)
    assert {*FIELDS, "policy"} == set(VoteSection.model_fields)


@pytest.mark.parametrize(
    ("vote", "expected"),
    [
        ("{}", PRESETS["majority"]),
        ("{policy: single}", PRESETS["single"]),
        ("{k: 5}", PRESETS["majority"].override({"k": 5})),
        ("{policy: single, cache: off}", PRESETS["single"].override({"cache": False})),
        ("{min_agreement: 0.8, ttl: 5m}", PRESETS["majority"].override({"min_agreement": 0.8, "ttl": 300})),
        ("{salt: no, shed: 'off', accept_margin: off}", PRESETS["majority"]),
        ("{policy: own}", PRESETS["single"].override({"wave": 2}, "own")),
    ],
)  # fmt: skip
def test_vote(vote: str, expected: Policy) -> None:
    """The default policy is a preset or one's own, with any field changed, words and YAML's booleans alike."""
    text = f"policies: {{own: {{extends: single, wave: 2}}}}\nvote: {vote}"
    assert expected == settings(text, URL).default_policy


def test_policies_are_resolved() -> None:
    """The settings hold the presets and the configured policies, each with everything that it extends."""
    made = settings("policies: {a: {extends: b, k: 4}, b: {extends: single, ttl: 1h}, c: {k: 2}}", URL)
    assert {*PRESETS, "a", "b", "c"} == set(made.policies)
    assert PRESETS["single"].override({"ttl": 3600, "k": 4}, "a") == made.policies["a"]
    assert PRESETS["majority"].override({"k": 2}, "c") == made.policies["c"]


def test_a_preset_can_be_changed_under_its_name() -> None:
    """A policy named like a preset extends it, and is the default if the preset was."""
    made = settings("policies: {majority: {k: 5}}", URL)
    assert 5 == made.policies["majority"].k == made.default_policy.k


def test_routes_keep_their_order_and_hold_policies() -> None:
    """Routes come resolved, first one first."""
    made = settings(
        "policies: {own: {k: 2}}\nroutes: [{model: 'qwen3-*', policy: own}, {model: m, policy: single}]", URL
    )
    assert [("qwen3-*", "own", 2), ("m", "single", 1)] == [
        (route.model_pattern, route.policy.name, route.policy.k) for route in made.routes
    ]


LOW = "limits: {max_k: 2}\nvote: {k: 1}"
KNOWN = "known: majority, reason, reference, serial, single, strict"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("policies: {invoices: {k: x}}", "policies.invoices.k: expected a whole number of at least 1, got 'x'"),
        ("policies: {invoices: {k: 2, wave: 0}}", "policies.invoices.wave: expected a whole number of at least"),
        ("policies: {invoices: {kk: 2}}", "policies.invoices.kk: no such key; did you mean k?"),
        ("policies: {invoices: 3}", "policies.invoices: expected a mapping, got 3"),
        ("policies: {'a b': {k: 2}}", "policies.a b: expected a name of up to 64 letters"),
        ("policies: {a: {extends: nope}}", "policies.a.extends: no policy 'nope'; known: a, majority"),
        ("policies: {a: {extends: b}, b: {extends: a}}", "policies.a.extends: goes in a circle"),
        ("policies: {a: {extends: strict}}", "policies.a.extends: its on_disagreement is refused: reference needs an"),
        ("policies: {a: {lane: reference}}", "policies.a.lane: reference needs an upstream with `lane: reference`"),
        ("policies: {a.b: {shed: k}}", "policies.a.b.shed: expected on or off, got 'k'"),
        ("policies: {a: {on_disagreement: 'escalate:17'}}", "policies.a.on_disagreement: 17 is more than limits.max_k"),
        ("policies: {a: {on_disagreement: 'escalate:3'}}", "policies.a.on_disagreement: escalate:3 goes no further"),
        ("policies: {a: {k: 17}}", "policies.a.k: 17 is more than limits.max_k, 16"),
        ("vote: {policy: nope}", f"vote.policy: no policy 'nope'; {KNOWN}"),
        ("vote: {policy: reason, k: 17}", "vote.k: 17 is more than limits.max_k, 16"),
        ("vote: {k: many}", "vote.k: expected a whole number of at least 1, got 'many'"),
        ("vote: {k: 17}", "vote.k: 17 is more than limits.max_k, 16"),
        ("vote: {cache: perhaps}", "vote.cache: expected on or off, got 'perhaps'"),
        ("vote: {when: on}", "vote.when: expected always or deterministic, got True"),
        ("vote: {extends: single}", "vote.extends: no such key; known: accept_margin, "),
        ("vote: majority", "vote: expected a mapping, got 'majority'"),
        ("routes: [{model: m, policy: nope}]", f"routes.0.policy: no policy 'nope'; {KNOWN}"),
        ("routes: [{model: m, policy: serial}]", "routes.0.policy: its lane is refused: reference needs an upstream"),
        ("routes: [{model: m, policy: majority}]\n" + LOW, "routes.0.policy: its k is refused: 3 is more"),
        ("limits: {max_k: 2}\nvote: {policy: majority}", "vote.policy: its k is refused: 3 is more than limits.max_k"),
        ("policies: {a: {extends: majority}}\n" + LOW, "policies.a.extends: its k is refused"),
    ],
)  # fmt: skip
def test_refused(text: str, said: str) -> None:
    """The line names the policy's field where the user wrote it, and what would do."""
    (told,) = complaints(text, URL)
    assert told.startswith(f"config: {said}")
    assert told.endswith("(in scg.yaml)")


SWITCH_WORDS: Mapping[bool, tuple[Any, ...]] = {
    True: (True, "on", "On", "yes", "true"),
    False: (False, "off", "OFF", "no", "false"),
}


@run_with(max_examples=30)
@given(st.booleans(), st.data())
def test_switches_take_words_and_booleans(value: bool, data: st.DataObject) -> None:  # noqa: FBT001
    """A switch is the same in YAML's spelling, as a word, and as a variable."""
    word = data.draw(st.sampled_from(SWITCH_WORDS[value]))
    in_file = settings(yaml.safe_dump({"vote": {"cache": word}, "page": word}), URL)
    by_variable = settings(environ=URL | {"SCG_VOTE__CACHE": str(word), "SCG_PAGE": str(word)})
    assert (value, value) == (in_file.default_policy.cache, in_file.page)
    assert in_file == by_variable
