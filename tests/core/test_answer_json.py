"""JSON answers: one spelling for each value, and what is no value."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.answer.decimals import canonical_decimal
from gateway.core.answer.json_value import canonical_json

quickly = settings(max_examples=150)

# Fewer digits than the 28 of Python's decimal context, so that ten times one is exact.
DECIMALS = st.decimals(min_value=-(10**20), max_value=10**20, places=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | DECIMALS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ('{"b": 1, "a": 2}', '{"a":2,"b":1}'),
        (" \n[1, 2 ,3]\t", "[1,2,3]"),
        ("[3,2,1]", "[3,2,1]"),  # an array's order is its value
        ('{"a":{"d":[],"c":{}}}', '{"a":{"c":{},"d":[]}}'),
        ('"\\u00e9\\u0041"', '"éA"'),
        ('"e\u0301"', '"e\u0301"'),  # composed or not is the model's choice
        ('" a "', '" a "'),
        ("true", "true"),
        ("null", "null"),
        ("42", "42"),
        ("1.0", "1"),
        ("1e0", "1"),
        ("10e-1", "1"),
        ("-0", "0"),
        ("-0.0e5", "0"),
        ("0.10", "0.1"),
        ("100", "100"),
        ("1E2", "100"),
        ("1e2", "100"),
        ("-1.50", "-1.5"),
        ("12345678901234567890123", "12345678901234567890123e0"),
        ("1e400", "1e400"),
        ("10e399", "1e400"),
        ("0.1000000000000000055511151231257827", "1000000000000000055511151231257827e-34"),
    ],
)
def test_one_spelling_for_each_value(text: str, canonical: str) -> None:
    """Members are sorted, numbers are decimals by value, and nothing else is touched."""
    assert canonical == canonical_json(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("41", "42"),
        ("1", "true"),
        ("1", '"1"'),
        ("0", "false"),
        ("null", '"null"'),
        ("{}", "[]"),
        ('{"a":1}', '{"a":1,"b":null}'),
        ('["a","b"]', '["a,b"]'),
        ('"\\u00e9"', '"e\\u0301"'),
        ('"A"', '"a"'),
        ("0.1", "0.1000000000000000055511151231257827"),
        ("9007199254740993", "9007199254740992"),
        ("1e400", "1e401"),
        ("-1", "1"),
        ('{"label":"neutral","score":60}', '{"label":"weak","score":70}'),
    ],
)
def test_different_values_stay_different(one: str, other: str) -> None:
    """Types, digits beyond a double's, and strings that only look alike keep answers apart."""
    first, second = canonical_json(one), canonical_json(other)
    assert first is not None
    assert second is not None
    assert first != second


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes",
        "{'a': 1}",
        '{"a":1',
        '{"a":1,}',
        '{"a":1} {"a":1}',
        '{"a":1,"a":1}',  # which of them counts differs between readers
        '{"b":{"a":1,"a":2}}',
        "NaN",
        "[1, Infinity]",
        "-Infinity",
        "01",
        "1.",
        ".5",
        "+1",
        "0x10",
        "\u0664\u0662",
        '"a\nb"',
        "// no\n1",
        "1e9999999999999999999",
        "[" * 65 + "]" * 65,
        "[" * 1_000_000,
        '{"a":' * 100_000,
        "[" * 100_000 + "]" * 100_000,
        "\ufeff{}",
    ],
    ids=lambda text: repr(text)[:24],
)
def test_what_is_no_json(text: str) -> None:
    """What readers disagree about, what is cut, and bombs have no value, and crash nothing."""
    assert canonical_json(text) is None


def test_as_deep_as_it_goes() -> None:
    """64 levels are taken."""
    assert "[" * 64 + "]" * 64 == canonical_json("[" * 64 + "]" * 64)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ('```json\n{"a": 1}\n```', '{"a":1}'),
        ('```\n{"a": 1}\n```', '{"a":1}'),
        ('~~~ JSON\n{"a": 1}\n~~~\n', '{"a":1}'),
        ('Here you are:\n\n```json\r\n{"a": 1}\r\n```\r\nAnything else?', '{"a":1}'),
        ('  ```json\n  {"a": "```"}\n  ```', '{"a":"```"}'),
        ('{"a": "```json"}', '{"a":"```json"}'),
        ('```json\n{"a": 1}', None),  # cut
        ("```json\n1\n```\n```json\n2\n```", None),  # which?
        ('```python\n{"a": 1}\n```', None),
        ("```json\nyes\n```", None),
        ("```json\n```", None),
        ('The answer is {"a": 1}.', None),
        ("```\n" * 50_000, None),
    ],
    ids=lambda text: repr(text)[:24],
)
def test_one_fenced_block(text: str, canonical: str | None) -> None:
    """The value may stand in the only fenced block, tagged json or nothing, whatever is said around it."""
    assert canonical == canonical_json(text)


def rewritten(value: Any, data: st.DataObject) -> str:
    """The same value with members in another order, other white space, and numbers spelt otherwise."""
    space = data.draw(st.sampled_from(["", " ", "\n\t"]))
    if isinstance(value, dict):
        members = data.draw(st.permutations(list(value.items())))
        texts = (f"{json.dumps(name)}{space}:{space}{rewritten(item, data)}" for name, item in members)
        return "{" + f",{space}".join(texts) + "}"
    if isinstance(value, list):
        return f"[{space}" + ",".join(rewritten(item, data) for item in value) + "]"
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return data.draw(
            st.sampled_from([f"{value}", f"{value}e0", f"{value * 10}e-1"] if value else ["0", "-0.0"])
        )
    return json.dumps(value, ensure_ascii=data.draw(st.booleans()))


@quickly
@given(value=VALUES, data=st.data())
def test_spelling_does_not_split_votes(value: Any, data: st.DataObject) -> None:
    """Two spellings of one value are one answer."""
    assert canonical_json(rewritten(value, data)) == canonical_json(rewritten(value, data)) is not None


@quickly
@given(one=VALUES, other=VALUES, data=st.data())
def test_values_decide(one: Any, other: Any, data: st.DataObject) -> None:
    """Two answers are one exactly if their values are equal, by Python's exact decimals."""
    alike = typed(one) == typed(other)
    assert alike == (canonical_json(rewritten(one, data)) == canonical_json(rewritten(other, data)))


def typed(value: Any) -> Any:
    """A value in which True is not 1."""
    if isinstance(value, dict):
        return {name: typed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return (
        ("number", Decimal(value))
        if isinstance(value, int | Decimal) and not isinstance(value, bool)
        else (type(value), value)
    )


@quickly
@given(value=VALUES, data=st.data())
def test_a_canonical_answer_is_json_and_its_own_form(value: Any, data: st.DataObject) -> None:
    """What comes out can be parsed as JSON, and is the same again."""
    canonical = canonical_json(rewritten(value, data))
    assert canonical is not None
    json.loads(canonical)
    assert canonical == canonical_json(canonical)


@quickly
@given(
    one=st.decimals(allow_nan=False, allow_infinity=False),
    other=st.decimals(allow_nan=False, allow_infinity=False),
)
def test_decimals_by_value(one: Decimal, other: Decimal) -> None:
    """Two literals have one spelling exactly if they are the same number, which the spelling is too."""
    first, second = canonical_decimal(str(one)), canonical_decimal(str(other))
    assert first is not None
    assert one == Decimal(first)
    assert (one == other) == (first == second)


@pytest.mark.parametrize(
    "literal", ["", ".", "-", "e5", "1e", "1e1234567890123456789", "1,0", "\u0661", "1 "]
)
def test_what_is_no_decimal(literal: str) -> None:
    """Only digits, a point and an exponent within reason."""
    assert canonical_decimal(literal) is None
