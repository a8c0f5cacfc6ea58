"""Margins: read from log-probabilities, which are taken out again where only the gateway wanted them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.forms.table import FORMS
from gateway.wire.margin import chat_margin, text_margin, token_margin
from gateway.wire.splice import cut, splice
from gateway.wire.sse import EventDecoder, encode_event
from tests.wire.recordings import anonymous, form_of, kind_of, recorded

Json = dict[str, Any]

GAP = 0.125  # between the best two of the recorded answers' first tokens, exactly: their logits are bfloat16


def chance(*logprobs: float) -> Json:
    return {
        "token": "a",
        "logprob": -9.0,
        "top_logprobs": [{"token": "b", "logprob": one} for one in logprobs],
    }


@pytest.mark.parametrize("name", ["chat_logprobs", "completions_logprobs", "responses_logprobs"])
def test_a_real_margin(name: str) -> None:
    """The smallest gap of vLLM's two tokens is the first one's, in every form that tells it."""
    assert GAP == form_of(name).reply(recorded(name), kind_of(name)).margin


@pytest.mark.parametrize(
    "name", ["chat", "completions", "responses", "messages", "chat_stream", "responses_stream"]
)
def test_no_margin_without_logprobs(name: str) -> None:
    """An answer without log-probabilities has none."""
    assert None is form_of(name).reply(recorded(name), kind_of(name)).margin


@pytest.mark.parametrize(
    ("margin", "logprobs", "expected"),
    [
        (chat_margin, {"content": [chance(-0.5, -1.0), chance(-0.25, -3.0)]}, 0.5),
        (chat_margin, {"content": [chance(-0.5, -1.0, -0.75)]}, 0.25),
        (chat_margin, {"content": None, "refusal": [chance(-0.5, -1.0)]}, 0.5),
        (chat_margin, {"content": [chance(-1.0, -1.0)]}, 0.0),
        (chat_margin, {"content": [chance(-0.5, -1.0), chance(-0.5)]}, None),
        (chat_margin, {"content": [{"token": "a", "logprob": 0}]}, None),
        (chat_margin, {"content": []}, None),
        (chat_margin, {"content": [1, None]}, None),
        (chat_margin, {}, None),
        (chat_margin, None, None),
        (text_margin, {"top_logprobs": [{"a": -0.5, "b": -1.0}, {"c": -0.25, "d": -0.5, "e": -2}]}, 0.25),
        (text_margin, {"top_logprobs": [None, {"a": -0.5, "b": -1.0}]}, None),
        (text_margin, {"top_logprobs": None}, None),
        (text_margin, None, None),
        (token_margin, [chance(-0.5, -1.0)], 0.5),
    ],
)
def test_the_smallest_gap(margin: Any, logprobs: Any, expected: float | None) -> None:
    """Over all tokens; unknown as soon as one token's are."""
    assert expected == margin(logprobs)


@pytest.mark.parametrize(
    ("asked", "unasked"),
    [("chat_logprobs", "chat_salt"), ("responses_logprobs", "responses_seed")],
)
def test_taken_out_of_a_real_answer(asked: str, unasked: str) -> None:
    """What is left is what the server answers when it is not asked for them."""
    form = form_of(asked)
    left = form.without_logprobs(recorded(asked), streamed=False)
    assert None is form.reply(left, "application/json").margin
    expected, made = anonymous(recorded(unasked)), anonymous(left)
    if asked.startswith("chat"):  # it was asked for ids of tokens as well
        expected, made = expected["choices"][0]["message"], made["choices"][0]["message"]
    else:
        assert [] == made["output"][0]["content"][0].pop("logprobs")  # where vLLM writes null
    assert expected == made


@pytest.mark.parametrize("name", ["chat_logprobs", "completions_logprobs", "responses_logprobs"])
def test_no_other_byte_changes(name: str) -> None:
    """An answer is what it was before and after the places where log-probabilities were."""
    body = recorded(name)
    left = form_of(name).without_logprobs(body, streamed=False)
    start = body.index(b'"logprobs":') + len(b'"logprobs":')
    assert body[:start] == left[:start]
    tail = body.index(b'"finish_reason"') if b'"finish_reason"' in body else body.index(b'"truncation"')
    assert left.endswith(body[tail:])


@pytest.mark.parametrize("form", FORMS[:3])
def test_taken_out_of_a_stream(form: Any) -> None:
    """No event of a stream keeps any; data without them stays as it is, and so do the types."""
    payload = recorded(f"{'chat' if form is FORMS[0] else form.label}_logprobs")
    chunk = {"choices": [{"index": 0, "delta": {}, "logprobs": {"content": [chance(-1, -2)]}}]}
    delta = {"type": "response.output_text.delta", "delta": "logprobs", "logprobs": [chance(-1, -2)]}
    end = b'{"type": "response.completed", "response":' + payload + b"}"
    if form is FORMS[2]:
        events = [(json.dumps(delta).encode(), b"response.output_text.delta"), (end, b"response.completed")]
    else:
        events = [(json.dumps(chunk).encode(), b""), (b'{ "choices": [] }', b""), (b"[DONE]", b"")]
    left = form.without_logprobs(b"".join(encode_event(*event) for event in events), streamed=True)
    decoded = EventDecoder().feed(left)
    assert [kind for _, kind in events] == [event.type for event in decoded]
    assert b'top_logprobs":[' not in left.replace(b" ", b"")
    assert None is form.reply(left, "text/event-stream").margin


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "é"]), inner, max_size=3)
    ),
    max_leaves=8,
)
paths = st.lists(st.sampled_from(["a", "é", None]), max_size=3).map(tuple)
names = st.sampled_from(["a", "b", "é"])


def replaced(value: Any, path: tuple[str | None, ...]) -> Any:
    """The plain definition, on values."""
    if not path:
        return "X"
    name, rest = path[0], path[1:]
    if name is None:
        return [replaced(inner, rest) for inner in value] if isinstance(value, list) else value
    if isinstance(value, dict) and name in value:
        return {**value, name: replaced(value[name], rest)}
    return value


@given(values, paths, st.sampled_from([None, 1, "\t"]))
def test_a_splice(value: Any, path: tuple[str | None, ...], indent: int | str | None) -> None:
    """It replaces what the path leads to, however the text is spaced, and nothing else."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    made = splice(text.encode(), path, b'"X"').decode()
    assert replaced(value, path) == json.loads(made)
    if replaced(value, path) == value:
        assert text == made


@given(st.dictionaries(names, values, max_size=4), names, st.sampled_from([None, 1, "\t"]))
def test_a_cut(value: dict[str, Any], name: str, indent: int | str | None) -> None:
    """It takes out the member of this name, wherever it stands, and no byte of another one."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    left = {other: member for other, member in value.items() if other != name}
    made = cut(text.encode(), name)
    assert left == json.loads(made)
    if left:
        assert json.dumps(left, indent=indent, ensure_ascii=False).encode() == made


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('{"u":1,"u":2, "a":1.50}', '{"a":1.50}'),
        ('{"a" : 1 ,\t"u":{"u":1}, "u":2}', '{"a" : 1}'),
        ('{"a":1, "u":2 , "b":{"u":3}}', '{"a":1 , "b":{"u":3}}'),
        (' { "\\u0075": 1 } ', " {  } "),
        ("{ }", "{ }"),
    ],
)
def test_a_cut_of_members_that_come_twice(text: str, left: str) -> None:
    """All of a name are taken out, however it is spelt; what is further in stays."""
    assert left.encode() == cut(text.encode(), "u")


def test_a_splice_keeps_how_things_are_written() -> None:
    """Numbers, escapes, spaces and members that come twice."""
    text = '{ "b": 1.50e1, "a":\t[ {"l" : {"x": [1]}, "\\u0061": 1}, {"l":2,"l":3} ] , "c":"\\u00e9"}'
    made = '{ "b": 1.50e1, "a":\t[ {"l" : null, "\\u0061": 1}, {"l":null,"l":null} ] , "c":"\\u00e9"}'
    assert made.encode() == splice(text.encode(), ("a", None, "l"), b"null")
