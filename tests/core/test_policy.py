"""How a request is voted on: presets, configured policies and overrides."""

from contextlib import suppress
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.policy import (
    FIELDS,
    PRESETS,
    Policy,
    known,
    named_policies,
    refuse_beyond,
)
from gateway.core.policy_fields import PolicyError, parse_field

# The table of the documentation, column by column: the defaults, and what each preset says differently.
DEFAULTS: dict[str, Any] = {
    "k": 3,
    "lane": "fast",
    "answer": "auto",
    "stop": "unbeatable",
    "min_ballots": None,
    "min_agreement": 0.0,
    "on_disagreement": "return",
    "reference_fallback": "error",
    "spread": "together",
    "salt": False,
    "when": "always",
    "measure": 0.0,
    "measure_k": 3,
    "recheck": 0.0,
    "wave": 1,
    "stream_launch": None,
    "accept_margin": None,
    "pin_truncated": "auto",
    "shed": False,
    "sample_timeout": None,
    "deadline": None,
    "ttl": None,
    "cache": True,
}
TABLE: dict[str, dict[str, Any]] = {
    "single": {"k": 1, "measure": 0.05},
    "majority": {"k": 3, "recheck": 0.01},
    "strict": {"k": 3, "min_agreement": 1.0, "on_disagreement": "reference", "recheck": 0.01},
    "reference": {"k": 1, "lane": "reference"},
    "serial": {"k": 1, "lane": "reference"},
    "reason": {"k": 15, "stop": "beta:0.95", "wave": 4},
}


def fields_of(policy: Policy) -> dict[str, Any]:
    """Every field but the name."""
    return {field: getattr(policy, field) for field in FIELDS}


def test_there_are_six_presets() -> None:
    """The presets are those of the table, each under its own name."""
    assert {name: name for name in TABLE} == {name: preset.name for name, preset in PRESETS.items()}


@pytest.mark.parametrize("name", TABLE)
def test_presets(name: str) -> None:
    """Every field of every preset is what the table says."""
    assert DEFAULTS | TABLE[name] == fields_of(PRESETS[name])


def test_defaults() -> None:
    """A policy about which nothing is said has the table's defaults, and every field is in the table."""
    assert fields_of(Policy()) == DEFAULTS
    assert (*DEFAULTS,) == FIELDS
    assert {"name", *FIELDS} == {field.name for field in fields(Policy)}


def test_frozen() -> None:
    """Nobody can change a policy, nor the presets, under a running request."""
    with pytest.raises(FrozenInstanceError):
        PRESETS["majority"].k = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        PRESETS["majority"] = Policy()  # type: ignore[index]


@pytest.mark.parametrize(
    ("k", "min_ballots", "quorum"),
    [(1, None, 1), (2, None, 2), (3, None, 2), (4, None, 3), (5, None, 3), (3, 1, 1), (3, 3, 3), (3, 9, 3)],
)
def test_quorum(k: int, min_ballots: int | None, quorum: int) -> None:
    """Quorum is more than half of k unless `min_ballots` says otherwise, and never more than k."""
    for stop in ("all", "unbeatable"):
        assert quorum == Policy(k=k, stop=stop, min_ballots=min_ballots).quorum


@pytest.mark.parametrize(
    ("k", "min_ballots", "quorum"),
    [(1, None, 1), (2, None, 2), (3, None, 3), (15, None, 3), (15, 8, 8), (5, 9, 5)],
)
def test_quorum_under_beta(k: int, min_ballots: int | None, quorum: int) -> None:
    """Under `beta:C` quorum is three unless `min_ballots` says otherwise, and never more than k."""
    assert quorum == Policy(k=k, stop="beta:0.95", min_ballots=min_ballots).quorum


@pytest.mark.parametrize(
    ("on_disagreement", "most"), [("return", 3), ("reject", 3), ("reference", 3), ("escalate:12", 12)]
)
def test_most(on_disagreement: str, most: int) -> None:
    """A round comes to no more than k samples, or N where disagreement escalates."""
    assert most == Policy(on_disagreement=on_disagreement).most


@pytest.mark.parametrize("number", [1, 2, 3])
def test_escalation_goes_beyond_k(number: int) -> None:
    """Escalating to no more samples than there were is refused, whichever of the two was changed."""
    with pytest.raises(
        PolicyError, match=f"^escalate:{number} goes no further than k, 3; name more"
    ) as caught:
        Policy().override({"on_disagreement": f"escalate:{number}"})
    assert caught.value.field == "on_disagreement"
    with pytest.raises(PolicyError, match=r"^escalate:5 goes no further than k, 5") as caught:
        Policy(on_disagreement="escalate:5").override({"k": 5})
    assert caught.value.field == "on_disagreement"


@pytest.mark.parametrize(
    ("policy", "field", "said"),
    [
        (Policy(k=9), "k", "9 is more than limits.max_k, 8"),
        (Policy(k=8), None, ""),
        (Policy(on_disagreement="escalate:9"), "on_disagreement", "9 is more than limits.max_k, 8"),
        (Policy(on_disagreement="escalate:8"), None, ""),
        (PRESETS["strict"], "on_disagreement", "reference needs an upstream with `lane: reference`"),
        (PRESETS["reference"], "lane", "reference needs an upstream with `lane: reference`"),
        (PRESETS["serial"], "lane", "reference needs an upstream with `lane: reference`"),
    ],
)
def test_what_a_gateway_has(policy: Policy, field: str | None, said: str) -> None:
    """More samples than `max_k`, or a reference lane where there is none, are refused by the field that wants it."""
    if field is None:
        refuse_beyond(policy, 8, has_reference=False)
        return
    with pytest.raises(PolicyError) as caught:
        refuse_beyond(policy, 8, has_reference=False)
    assert (field, said) == (caught.value.field, str(caught.value)[: len(said)])


@pytest.mark.parametrize("name", ["strict", "reference", "serial"])
def test_with_a_reference_lane(name: str) -> None:
    """Where there is a reference lane, the presets that need it are taken."""
    refuse_beyond(PRESETS[name], 8, has_reference=True)


@pytest.mark.parametrize(
    ("field", "written", "taken"),
    [
        ("k", "3", 3),
        ("k", " 3 ", 3),
        ("k", 3, 3),
        ("answer", "text", "text"),
        ("answer", "json", "json"),
        ("answer", r"regex:A: (\d+)", r"regex:A: (\d+)"),
        ("lane", "reference", "reference"),
        ("stop", "all", "all"),
        ("stop", "beta:0.95", "beta:0.95"),
        ("stop", "beta:.9", "beta:0.9"),
        ("stop", "beta:0.99999999", "beta:0.99999999"),
        ("min_ballots", "2", 2),
        ("min_agreement", "0.8", 0.8),
        ("min_agreement", "1", 1.0),
        ("min_agreement", 1, 1.0),
        ("min_agreement", 0, 0.0),
        ("on_disagreement", "reject", "reject"),
        ("on_disagreement", "escalate:5", "escalate:5"),
        ("on_disagreement", "escalate:05", "escalate:5"),
        ("reference_fallback", "return", "return"),
        ("spread", "together", "together"),
        ("spread", "staggered:50ms", "staggered:50ms"),
        ("salt", "on", True),
        ("salt", "OFF", False),
        ("salt", True, True),
        ("salt", "false", False),
        ("when", "deterministic", "deterministic"),
        ("measure", "0.05", 0.05),
        ("measure_k", "2", 2),
        ("wave", "4", 4),
        ("stream_launch", "all", "all"),
        ("accept_margin", "off", None),
        ("accept_margin", False, None),
        ("accept_margin", None, None),
        ("accept_margin", "2.5", 2.5),
        ("pin_truncated", "never", "never"),
        ("sample_timeout", "500ms", 0.5),
        ("deadline", "2m", 120.0),
        ("ttl", "7d", 604800.0),
        ("ttl", 60, 60.0),
        ("cache", False, False),
        ("cache", "on", True),
    ],
)
def test_values_as_written(field: str, written: object, taken: object) -> None:
    """A field takes its value from YAML, from JSON and from a header's text alike."""
    parsed = parse_field(field, written)
    assert taken == parsed
    assert type(taken) is type(parsed)


@pytest.mark.parametrize(
    ("field", "written", "expected"),
    [
        ("k", 0, "a whole number of at least 1"),
        ("k", "0", "a whole number of at least 1"),
        ("k", -1, "a whole number of at least 1"),
        ("k", 3.0, "a whole number of at least 1"),
        ("k", "3.5", "a whole number of at least 1"),
        ("k", "three", "a whole number of at least 1"),
        ("k", "1_0", "a whole number of at least 1"),
        ("k", "\u0663", "a whole number of at least 1"),  # an Arabic-Indic three
        ("k", True, "a whole number of at least 1"),
        ("k", None, "a whole number of at least 1"),
        ("k", [3], "a whole number of at least 1"),
        ("lane", "slow", "fast or reference"),
        (
            "answer",
            "fuzzy",
            "auto, text, normalized, json, tool_calls, number, boxed, choice, math or regex:PATTERN",
        ),
        ("answer", None, "auto, text, normalized, json"),
        ("answer", ["json"], "auto, text, normalized, json"),
        ("answer", "calls-or-text", "auto, text, normalized, json"),
        ("stop", "never", "all or unbeatable or beta:C"),
        ("stop", "beta:C", "beta:C with C between 0.5 and 1"),
        ("stop", "beta:0.5", "beta:C with C between 0.5 and 1"),
        ("stop", "beta:1", "beta:C with C between 0.5 and 1"),
        ("stop", "beta:nan", "beta:C with C between 0.5 and 1"),
        ("stop", ["all"], "all or unbeatable or beta:C"),
        ("min_ballots", 0, "a whole number of at least 1"),
        ("min_agreement", 1.01, "a number from 0 to 1"),
        ("min_agreement", -0.01, "a number from 0 to 1"),
        ("min_agreement", "80%", "a number from 0 to 1"),
        ("min_agreement", "nan", "a number from 0 to 1"),
        ("min_agreement", True, "a number from 0 to 1"),
        ("min_agreement", {}, "a number from 0 to 1"),
        ("on_disagreement", "shout", "return or reject or reference or escalate:N"),
        ("on_disagreement", "escalate:0", "a whole number of at least 1"),
        ("on_disagreement", "escalate:", "a whole number of at least 1"),
        ("reference_fallback", "retry", "error or return"),
        ("spread", "staggered:soon", "a duration like 500ms"),
        ("spread", "apart", "together or staggered:50ms"),
        ("salt", "maybe", "on or off"),
        ("salt", None, "on or off"),
        ("when", "never", "always or deterministic"),
        ("measure", 2, "a number from 0 to 1"),
        ("measure_k", 1, "a whole number of at least 2"),
        ("recheck", "often", "a number from 0 to 1"),
        ("wave", 0, "a whole number of at least 1"),
        ("stream_launch", "eager", "lazy or all"),
        ("accept_margin", -1, "off or a logprob gap of at least 0"),
        ("accept_margin", "wide", "off or a logprob gap of at least 0"),
        ("accept_margin", "nan", "off or a logprob gap of at least 0"),
        ("accept_margin", 10**400, "off or a logprob gap of at least 0"),
        ("accept_margin", True, "off or a logprob gap of at least 0"),
        ("pin_truncated", "sometimes", "auto or always or never"),
        ("shed", 1, "on or off"),
        ("sample_timeout", "-1s", "a duration like 500ms"),
        ("deadline", 10**400, "a duration like 500ms"),
        ("ttl", "a week", "a duration like 500ms"),
        ("cache", "yes", "on or off"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_bad_values(field: str, written: object, expected: str) -> None:
    """A value that a field cannot take is refused by one line: the field, what would do, what came."""
    with pytest.raises(PolicyError) as caught:
        parse_field(field, written)
    assert field == caught.value.field
    assert str(caught.value).startswith(f"expected {expected}")
    assert str(caught.value).endswith(f", got {written!r}")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?=a)", "RE2 takes no such pattern: invalid perl operator: (?= (no look-around, backreference "),
        (r"(a)\1", r"RE2 takes no such pattern: invalid escape sequence: \1 (no look-around, backreference "),
        ("", "regex: needs a pattern"),
    ],
)  # fmt: skip
def test_patterns_that_cannot_be_taken(pattern: str, message: str) -> None:
    """A pattern that RE2 cannot take is refused with the construct that is at fault."""
    with pytest.raises(PolicyError) as caught:
        named_policies({"mine": {"answer": f"regex:{pattern}"}})
    assert "mine.answer" == caught.value.field
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("field", ["kay", "K", "name", "extends", "", "quorum"])
def test_unknown_fields(field: str) -> None:
    """A field that does not exist is refused with the list of those that do, `name` and `extends` too."""
    with pytest.raises(PolicyError) as caught:
        PRESETS["majority"].override({field: 3})
    assert field == caught.value.field
    assert f"no such policy field; known: {', '.join(FIELDS)}" == str(caught.value)


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers()),
    st.sampled_from(["beta:", "escalate:", "staggered:", "regex:", "1e999", "-0", 10**400, "9" * 5000]),
)  # fmt: skip


@settings(max_examples=150)
@given(field=st.sampled_from(FIELDS), value=JUNK)
def test_whatever_comes_is_taken_or_a_policy_error(field: str, value: object) -> None:
    """No value that a client can send to any field ends in another error than PolicyError."""
    with suppress(PolicyError):
        taken = parse_field(field, value)
        assert taken is None or taken == parse_field(field, taken)  # what was taken can be taken again


def test_override_changes_what_it_says_and_nothing_else() -> None:
    """An override replaces the fields that it names and keeps the rest, the name included."""
    changed = PRESETS["majority"].override({"k": "5", "answer": "normalized"})
    assert replace(PRESETS["majority"], k=5, answer="normalized") == changed
    assert PRESETS["majority"].override({}, "mine").name == "mine"


@pytest.mark.parametrize(
    ("field", "value"),
    [("measure", 0.05), ("measure", 0), ("recheck", 0.01), ("recheck", "0"), ("salt", "off"), ("shed", True),
     ("shed", "on"), ("shed", "off"),
     ("accept_margin", "off"), ("accept_margin", 0.25), ("measure_k", 3), ("stop", "all"), ("stop", "beta:0.95"),
     ("on_disagreement", "reject"), ("on_disagreement", "escalate:4"), ("on_disagreement", "reference"),
     ("lane", "reference"), ("reference_fallback", "return"), ("wave", 4),
     ("when", "deterministic"), ("cache", "off"), ("ttl", "1h"), ("pin_truncated", "always"),
     ("answer", "json"), ("answer", "math"), ("answer", r"regex:(\d+)")],
)  # fmt: skip
def test_what_is_offered_is_taken(field: str, value: object) -> None:
    """Values of every kind, switched-off fields and the presets' own shares of measuring are taken."""
    assert parse_field(field, value) == getattr(PRESETS["majority"].override({field: value}), field)


def test_named_policies_keep_the_presets() -> None:
    """A definition adds a name to those of the presets, and extends `majority` unless told otherwise."""
    assert dict(PRESETS) == named_policies({})
    assert dict(PRESETS) | {"mine": replace(PRESETS["majority"], name="mine", k=5)} == named_policies(
        {"mine": {"k": 5}}
    )


def test_extends_chains() -> None:
    """A definition may extend another, in any order of writing; the nearest value wins."""
    definitions: dict[str, dict[str, object]] = {
        "c": {"extends": "b", "wave": 2},
        "b": {"extends": "a", "k": 5},
        "a": {"extends": "single", "k": 7, "answer": "text"},
    }
    made = named_policies(definitions)
    assert replace(PRESETS["single"], name="a", k=7, answer="text") == made["a"]
    assert replace(PRESETS["single"], name="b", k=5, answer="text") == made["b"]
    assert replace(PRESETS["single"], name="c", k=5, answer="text", wave=2) == made["c"]


def test_a_preset_can_be_redefined() -> None:
    """A definition under a preset's name starts from that preset, and others extend what it became."""
    made = named_policies({"single": {"answer": "text"}, "mine": {"extends": "single"}})
    assert replace(PRESETS["single"], answer="text") == made["single"]
    assert replace(PRESETS["single"], answer="text", name="mine") == made["mine"]
    assert made == named_policies(
        {"single": {"extends": "single", "answer": "text"}, "mine": {"extends": "single"}}
    )


@pytest.mark.parametrize(
    ("definitions", "field", "message"),
    [
        ({"a": {"extends": "a"}}, "a.extends", "goes in a circle: a -> a"),
        ({"a": {"extends": "b"}, "b": {"extends": "a"}}, "a.extends", "goes in a circle: a -> b -> a"),
        (
            {"single": {"extends": "majority"}, "majority": {"extends": "single"}},
            "single.extends",
            "goes in a circle: single -> majority -> single",
        ),
        (
            {"a": {"extends": "b"}},
            "a.extends",
            "no policy 'b'; known: a, majority, reason, reference, serial, single, strict",
        ),
        (
            {"a": {"extends": None}},
            "a.extends",
            "no policy 'None'; known: a, majority, reason, reference, serial, single, strict",
        ),
        ({"a": {"kay": 3}}, "a.kay", f"no such policy field; known: {', '.join(FIELDS)}"),
        ({"a": {"k": 0}}, "a.k", "expected a whole number of at least 1, got 0"),
        ({"a": {"name": "b"}}, "a.name", f"no such policy field; known: {', '.join(FIELDS)}"),
        ({"b": {"extends": "a"}, "a": {"k": 0}}, "a.k", "expected a whole number of at least 1, got 0"),
        (
            {"a": {"extends": "b", "k": 9}, "b": {"on_disagreement": "escalate:9"}},
            "a.on_disagreement",
            "escalate:9 goes no further than k, 9; name more samples",
        ),
        ({"a": {"shed": "k"}}, "a.shed", "expected on or off, got 'k'"),
    ],
)  # fmt: skip
def test_bad_definitions(definitions: dict[str, dict[str, object]], field: str, message: str) -> None:
    """A definition that cannot be taken is a PolicyError at `NAME.FIELD`, circles and unknown bases too."""
    with pytest.raises(PolicyError) as caught:
        named_policies(definitions)
    assert field == caught.value.field
    assert message == str(caught.value)


def test_known_lists_each_name_once() -> None:
    """The list for messages has the presets and the configured names, sorted, none twice."""
    assert known({"single": {}, "a": {}}) == "a, majority, reason, reference, serial, single, strict"
