"""Which requests are the same question. A wrong hit is the worst bug that the gateway can have."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.core.key import LEFT_OUT, ask
from gateway.core.policy import FIELDS, PRESETS, Policy

CHAT = "/v1/chat/completions"
POLICY = PRESETS["majority"]
BODY: dict[str, Any] = {
    "model": "demo",
    "messages": [{"role": "user", "content": "What is 6 x 7?"}],
    "temperature": 0,
    "max_tokens": 16,
    "tools": [{"type": "function", "function": {"name": "add", "parameters": {"a": 1, "b": 2}}}],
}

NOT_PART_OF_THE_QUESTION = {
    "stream", "stream_options", "user", "metadata", "safety_identifier", "prompt_cache_key", "store",
    "service_tier", "priority", "request_id", "consistency",
}  # fmt: skip


def key_of(members: Mapping[str, Any], seed: int | None = None, endpoint: str = CHAT) -> str:
    """The key of a body, all else being equal."""
    return ask(endpoint, members, seed).key("tenant", POLICY, "revision-1")


# What "the same question" means, written down a second time: no encoding, just a comparison.


def same_question(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Equal members by name, in whatever order, without the seed and what cannot change an answer."""
    names, other_names = (
        {name for name in body if name not in NOT_PART_OF_THE_QUESTION and name != "seed"}
        for body in (one, other)
    )
    return names == other_names and all(same_member(name, one[name], other[name]) for name in names)


def same_member(name: str, one: Any, other: Any) -> bool:
    """At the top, numbers compare by value; messages compare one by one, their members in any order."""
    if is_number(one) and is_number(other):
        return bool(one == other)  # Python compares an int with a float exactly
    if name == "messages" and isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_message, one, other))
    return same_value(one, other)


def same_message(one: Any, other: Any) -> bool:
    """A message's own members compare in any order."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_value(one[name], other[name]) for name in one)
    return same_value(one, other)


def same_value(one: Any, other: Any) -> bool:
    """Deeper down all is as given: the kind of a number, the sign of zero, the order of members."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(map(same_value, one.items(), other.items()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same_value, one, other))
    if isinstance(one, str) and isinstance(other, str):
        return one.encode("utf-16", "surrogatepass") == other.encode("utf-16", "surrogatepass")
    return repr(one) == repr(other)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# Values that lazy encodings mix up, few enough that two draws often meet.
LOOKALIKES: list[Any] = [
    0, 0.0, -0.0, 1, 1.0, True, False, None, "1", "1.0", "true", "null", "", [], {}, [[]], [None], {"": None},
    2**53, 2**53 + 1, float(2**53), 2**63, 2**64 + 1, 10**30, 1e30, 1e-7, 0.1, 0.30000000000000004, 0.3,
    "a", "a\0", "\0a", 'a","temperature":1', 'a\\","temperature":1', '"', "\\", "\\\\", "\\u0000", "\n", "\\n",
    "\u00e9", "e\u0301", "\ud800", "\udc00", "\\ud800", "\ufffd", "\U0001f600", "\u2028", "[1,2]", "1,2", "a,b",
]  # fmt: skip
NAMES = [
    "model",
    "messages",
    "temperature",
    "tools",
    "n",
    "x",
    'x":1,"y',
    "",
    "\0",
    "user",
    "stream",
    "store",
]
INNER = ["role", "content", "a", "b", "user", "seed", "stream"]

values = st.recursive(
    st.sampled_from(LOOKALIKES),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(INNER), inner, max_size=3)
    ),
    max_leaves=6,
)
messages = st.lists(
    st.one_of(values, st.dictionaries(st.sampled_from(INNER), values, max_size=3)), max_size=3
)
bodies = st.builds(
    lambda members, talk: members | talk,
    st.dictionaries(st.sampled_from(NAMES), values, max_size=4),
    st.one_of(st.just({}), messages.map(lambda talk: {"messages": talk})),
)


@st.composite
def variants(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A body and one close to it: the order of members changed at some depth, or one value replaced."""
    one = draw(bodies)
    return one, twist(draw, one) if one and draw(st.integers(0, 4)) else draw(bodies)


def twist(draw: st.DrawFn, value: Any) -> Any:
    """A copy that differs in one place, or in the order of some members, or not at all."""
    if isinstance(value, dict) and value:
        order = draw(st.permutations(list(value)))
        chosen = order[0] if draw(st.booleans()) else None
        return {name: twist(draw, value[name]) if name == chosen else value[name] for name in order}
    if isinstance(value, list) and value:
        at = draw(st.integers(0, len(value)))  # one past the end: the list stays as it is
        return [twist(draw, item) if index == at else item for index, item in enumerate(value)]
    return value if draw(st.booleans()) else draw(st.sampled_from(LOOKALIKES))


@settings(max_examples=300)
@given(pair=variants())
@example(pair=({"a": 'x","temperature":1'}, {"a": "x", "temperature": 1}))
@example(pair=({"a": "x", "b": "y"}, {"a": 'x","b":"y'}))
@example(pair=({"n": 2**53}, {"n": 2**53 + 1}))
@example(pair=({"n": 2**53}, {"n": float(2**53)}))
@example(pair=({"n": 2**53 + 1}, {"n": float(2**53)}))
@example(pair=({"n": 0}, {"n": -0.0}))
@example(pair=({"x": [0.0]}, {"x": [-0.0]}))
@example(pair=({"x": "\ud83d\ude00"}, {"x": "\U0001f600"}))
@example(pair=({}, {"x": None}))
@example(pair=({"": 1}, {"\0": 1}))
def test_one_key_for_one_question(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Two bodies share a key exactly if they are the same question by the comparison above."""
    one, other = pair
    assert same_question(one, other) == (key_of(one) == key_of(other))
    assert same_question(one, other) == (key_of(one, 7) == key_of(other, 7))


@settings(max_examples=100)
@given(one=values, other=values)
def test_nested_values_are_kept_as_given(one: Any, other: Any) -> None:
    """Below the top, in tools and in a message's parts, two values share a key only if they look the same."""
    same = same_value(one, other)
    assert same == (key_of({"tools": [one]}) == key_of({"tools": [other]}))
    assert same == (key_of({"messages": [{"c": one}]}) == key_of({"messages": [{"c": other}]}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"n":0}', '{"n":0.0}'),
        ('{"n":0}', '{"n":-0}'),
        ('{"n":1}', '{"n":1e0}'),
        ('{"n":1000}', '{"n":1E3}'),
        ('{"n":0.1}', '{"n":0.10}'),
        ('{"n":9007199254740992}', '{"n":9007199254740992.0}'),
        ('{"a":1,"b":2}', ' { "b" : 2 , "a" : 1 } '),
        ('{"x":"\\u00e9"}', '{"x":"é"}'),
        ('{"x":"\\ud83d\\ude00"}', '{"x":"\U0001f600"}'),
        ('{"x":"\\/"}', '{"x":"/"}'),
        ('{"messages":[{"role":"user","content":"a"}]}', '{"messages":[{"content":"a","role":"user"}]}'),
        ('{"a":1,"user":"u","seed":null}', '{"a":1}'),
    ],
)
def test_the_same_question_spelled_differently(one: str, other: str) -> None:
    """Spacing, escapes, the order of members, and the form of a number at the top do not split a question."""
    assert key_of(json.loads(one)) == key_of(json.loads(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"n":1}', '{"n":"1"}'),
        ('{"n":1}', '{"n":true}'),
        ('{"n":0}', '{"n":false}'),
        ('{"n":0}', '{"n":null}'),
        ('{"n":null}', "{}"),
        ('{"n":""}', '{"n":null}'),
        ('{"n":[]}', '{"n":{}}'),
        ('{"n":9007199254740993}', '{"n":9007199254740992}'),
        ('{"n":9007199254740993}', '{"n":9007199254740993.0}'),
        ('{"n":0.3}', '{"n":0.30000000000000004}'),
        ('{"x":"\\u00e9"}', '{"x":"e\\u0301"}'),  # NFC and NFD
        ('{"x":"a"}', '{"x":"a "}'),
        ('{"x":"a"}', '{"x":"A"}'),
        ('{"x":"a\\u0000"}', '{"x":"a"}'),
        ('{"x":"\\ud800"}', '{"x":"\\udc00"}'),
        ('{"x":"\\ud800"}', '{"x":"\\ufffd"}'),
        ('{"x":"\\\\ud800"}', '{"x":"\\ud800"}'),
        ('{"logit_bias":{"1":1}}', '{"logit_bias":{"1":1.0}}'),
        ('{"tools":[{"a":1,"b":2}]}', '{"tools":[{"b":2,"a":1}]}'),
        ('{"stop":["a","b"]}', '{"stop":["b","a"]}'),
        ('{"stop":["a,b"]}', '{"stop":["a","b"]}'),
        ('{"stop":["a"]}', '{"stop":"a"}'),
        ('{"messages":[{"role":"user","content":{"a":1,"b":2}}]}',
         '{"messages":[{"role":"user","content":{"b":2,"a":1}}]}'),
        ('{"messages":[{"content":"a"},{"content":"b"}]}', '{"messages":[{"content":"b"},{"content":"a"}]}'),
        ('{"messages":[{"content":1}]}', '{"messages":[{"content":1.0}]}'),
        ('{"messages":{"b":1,"a":2}}', '{"messages":{"a":2,"b":1}}'),
        ('{"prompt":[{"b":1,"a":2}]}', '{"prompt":[{"a":2,"b":1}]}'),
        ('{"unknown":1}', '{"unknown":2}'),
        ('{"x":"a\\",\\"y\\":\\"b"}', '{"x":"a","y":"b"}'),
    ],
)  # fmt: skip
def test_different_questions_that_look_alike(one: str, other: str) -> None:
    """Two bodies that an engine could answer differently have two keys, however close their spelling."""
    assert key_of(json.loads(one)) != key_of(json.loads(other))


def test_what_is_left_out() -> None:
    """The list of members that cannot change an answer is the documented one, and no longer."""
    assert NOT_PART_OF_THE_QUESTION == LEFT_OUT


@pytest.mark.parametrize("name", sorted(NOT_PART_OF_THE_QUESTION))
@pytest.mark.parametrize("value", [None, True, "x", {"a": 1}], ids=repr)
def test_members_left_out(name: str, value: object) -> None:
    """A member that cannot change an answer changes neither the key nor the derived seed."""
    assert ask(CHAT, BODY, None) == ask(CHAT, BODY | {name: value}, None)


@pytest.mark.parametrize("name", sorted(NOT_PART_OF_THE_QUESTION))
def test_members_are_left_out_at_the_top_only(name: str) -> None:
    """The same name inside a message or a tool may reach the prompt, and is kept."""
    message = {"role": "user", "content": "hi"}
    assert key_of({"messages": [message]}) != key_of({"messages": [message | {name: "x"}]})
    assert key_of({"tools": [{}]}) != key_of({"tools": [{name: "x"}]})


MEMBERS = [
    "model", "messages", "prompt", "suffix", "temperature", "top_p", "top_k", "min_p", "max_tokens",
    "max_completion_tokens", "stop", "stop_token_ids", "logit_bias", "logprobs", "top_logprobs", "tools",
    "tool_choice", "parallel_tool_calls", "response_format", "guided_json", "reasoning_effort", "cache_salt",
    "chat_template_kwargs", "lora", "n", "echo", "frequency_penalty", "presence_penalty", "repetition_penalty",
    "ignore_eos", "verbosity", "modalities", "Stream", "stream ", "no_such_member_yet",
]  # fmt: skip


@pytest.mark.parametrize("name", MEMBERS)
def test_every_other_member_counts(name: str) -> None:
    """Any other member, known or not, changes the key by being there and by its value."""
    body = {key: value for key, value in BODY.items() if key != name}
    keys = {
        key_of(body),
        *(key_of(body | {name: value}) for value in (None, 0, 1, 0.5, "x", ["x"], {"x": 1})),
    }
    assert len(keys) == 8


def test_tenants_endpoints_and_fingerprints_are_apart() -> None:
    """Who asks, which endpoint, and which revision of the model each have keys of their own."""
    question = ask(CHAT, BODY, 7)
    keys = {
        question.key("tenant", POLICY, "revision-1"),
        question.key("other", POLICY, "revision-1"),
        question.key("", POLICY, "revision-1"),
        question.key("tenant", POLICY, "revision-2"),
        question.key("tenant", POLICY, ""),
        question.key("revision-1", POLICY, "tenant"),
        question.key('tenant","', POLICY, "revision-1"),
        ask("/v1/completions", BODY, 7).key("tenant", POLICY, "revision-1"),
    }
    assert len(keys) == 8


@settings(max_examples=100)
@given(parts=st.lists(st.text(alphabet='ab",\0\\[]', max_size=4), min_size=6, max_size=6))
def test_parts_of_the_key_never_run_together(parts: list[str]) -> None:
    """Tenant, endpoint and fingerprint share a key with another three only if each of them is equal."""
    keys = [
        ask(endpoint, BODY, 7).key(tenant, POLICY, fingerprint)
        for tenant, endpoint, fingerprint in (parts[:3], parts[3:])
    ]
    assert (parts[:3] == parts[3:]) == (keys[0] == keys[1])


VOTING: dict[str, Any] = {
    "k": 5, "lane": "reference", "answer": "normalized", "stop": "all", "min_ballots": 1, "min_agreement": 0.5,
    "on_disagreement": "reject", "reference_fallback": "return", "spread": "staggered:50ms", "salt": True,
    "wave": 2, "accept_margin": 0.5, "pin_truncated": "never",
}  # fmt: skip
BESIDE_THE_VOTE: dict[str, Any] = {
    "when": "deterministic", "measure": 0.5, "measure_k": 5, "recheck": 0.5, "stream_launch": "all",
    "shed": True, "sample_timeout": 1.0, "deadline": 1.0, "ttl": 1.0, "cache": False,
}  # fmt: skip


def test_every_field_is_one_or_the_other() -> None:
    """Each policy field is known here as one that can change the answer or as one that cannot."""
    assert sorted(FIELDS) == sorted([*VOTING, *BESIDE_THE_VOTE])


@pytest.mark.parametrize("field", VOTING)
def test_policies_that_vote_differently(field: str) -> None:
    """A policy field that can change the answer changes the key."""
    question = ask(CHAT, BODY, 7)
    changed = replace(POLICY, **{field: VOTING[field]})
    assert question.key("tenant", POLICY, "1") != question.key("tenant", changed, "1")


@pytest.mark.parametrize("field", BESIDE_THE_VOTE)
def test_policies_that_vote_alike(field: str) -> None:
    """A policy field that cannot change the answer leaves the key as it is."""
    question = ask(CHAT, BODY, 7)
    changed = replace(POLICY, **{field: BESIDE_THE_VOTE[field]})
    assert question.key("tenant", POLICY, "1") == question.key("tenant", changed, "1")


def test_a_new_field_keeps_old_keys() -> None:
    """A voting field that was not always part of the key is none where it has its default."""
    assert len(Policy().voting_fields) + 1 == len(Policy(pin_truncated="never").voting_fields)


def test_a_policy_is_what_it_does() -> None:
    """Neither a policy's name nor a default spelled out makes another key."""
    question = ask(CHAT, BODY, 7)
    renamed = replace(POLICY, name="invoices")
    spelled_out = POLICY.override({"min_ballots": "2", "k": "3", "min_agreement": 0, "salt": "off"})
    assert question.key("tenant", POLICY, "1") == question.key("tenant", renamed, "1")
    assert question.key("tenant", POLICY, "1") == question.key("tenant", spelled_out, "1")


def test_a_seed_is_part_of_the_question() -> None:
    """Each seed has a key of its own, zero, neighbours, negative and large ones included."""
    seeds = [0, 1, -1, 2, 2**31, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
    assert len(seeds) == len({key_of(BODY, seed) for seed in seeds})


@settings(max_examples=100)
@given(body=bodies)
def test_a_missing_seed_is_derived(body: dict[str, Any]) -> None:
    """Without a seed there is one of 31 bits, and asking with that seed is the same question."""
    derived = ask(CHAT, body, None)
    assert 0 <= derived.seed < 2**31
    assert derived == ask(CHAT, body, None)
    assert derived == ask(CHAT, body, derived.seed)
    assert derived == ask(CHAT, body | {"seed": None}, None)


def test_a_derived_seed_comes_from_the_question_alone() -> None:
    """The derived seed depends on body and endpoint; tenant, policy and fingerprint have no part in it.

    Ten bodies give ten seeds: two of 2**31 meet once in 48 million such tables, and this table is fixed.
    """
    derived = {ask(CHAT, BODY | {"max_tokens": n}, None).seed for n in range(10)}
    assert len(derived) == 10
    assert ask("/v1/completions", BODY, None).seed != ask(CHAT, BODY, None).seed
    assert ask(CHAT, BODY | {"user": "u"}, None).seed == ask(CHAT, BODY, None).seed


def test_a_seed_inside_the_body_is_not_read_twice() -> None:
    """The body's own `seed` member counts through the argument only, so its spelling cannot split a key."""
    assert key_of(BODY | {"seed": 7}, 7) == key_of(BODY, 7)
    assert key_of(BODY | {"seed": 7.0}, 7) == key_of(BODY, 7)


def test_a_key_is_64_hex_digits() -> None:
    """Whatever is in the body, the key is safe in headers, URLs and Redis."""
    for body in ({}, BODY, {"\ud800": "\0\r\n"}):
        assert set(key_of(body)) <= set("0123456789abcdef")
        assert len(key_of(body)) == 64


@pytest.mark.parametrize(
    ("endpoint", "members", "seed", "preset", "key"),
    [
        (CHAT, BODY, None, "majority", "4db6dd56eedea1ae43b01b13f58578fd8f20844639644a23c49f7fa22d719e68"),
        (CHAT, BODY, 7, "single", "7937b54f170e8c6c8ecb31693190ba1e0e869e08fa757eae42ec0983b88f48f4"),
        ("/v1/completions", {"prompt": '\u00e9\ud800 "1"', "n": 2**64, "top_p": 1.0}, -1, "strict",
         "57b9060730dd6bdc8d14b1707b1d84d7c16eb1a08f6fe2c934e69660bbd13700"),
        (CHAT, {}, 0, "reference", "0cd4b6fbf29199c9d63f8fc3dd2e3cb5d68a7061d0b8ec1e21013e9832d989ab"),
    ],
)  # fmt: skip
def test_keys_stay_as_they_are(
    endpoint: str, members: dict[str, Any], seed: int | None, preset: str, key: str
) -> None:
    """Keys written today are found tomorrow: a change of these digests empties every cache in use."""
    assert key == ask(endpoint, members, seed).key("tenant", PRESETS[preset], "revision-1")
    assert key == ask(endpoint, dict(reversed(members.items())), seed).key(
        "tenant", PRESETS[preset], "revision-1"
    )


@pytest.mark.parametrize(("members", "seed"), [(BODY, 1007172860), ({"max_tokens": 17}, 2027053080)])
def test_the_derived_seed_stays_as_it_is(members: dict[str, Any], seed: int) -> None:
    """The seed of an unseeded request is fixed as well: it is what makes that request reproducible."""
    assert seed == ask(CHAT, members, None).seed


def test_default_policy_is_the_presets() -> None:
    """A bare policy votes as `majority` does, and so shares its keys."""
    question = ask(CHAT, BODY, 7)
    assert question.key("tenant", Policy(), "1") == question.key("tenant", POLICY, "1")
