"""Bodies: read as the standard decoder reads them, forwarded as they were written, refused with a reason."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.wire.body import parse_body

ADDED = {"seed": "7", "stream_options": '{"include_usage":true}'}

# Any JSON, and any way of writing it down.
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**30, max_value=10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.sampled_from(["\ud800", "\udc00x", "\U0001f600", "\u2028", "\0", '"', "\\", "é"]),
)
names = st.one_of(
    st.text(max_size=4), st.sampled_from(["seed", "stream", "messages", "\ud800", "a\\", 'a"b', "é"])
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=4,
)
spaces = st.sampled_from(["", "", " ", "\t\n", "\r\n  "])
WRITTEN = [
    "1e2", "1E+2", "1.50", "-0", "-0.0", "0.1e-7", "100", "1" * 40, "1e400", "-1e-400", "0.30000000000000004",
    r'"\u0041"', r'"\/"', r'"\ud83d\ude00"', r'"\ud800"', r'"\udc00\ud800"', r'"\u0000"', '"é"',
    '"\x7f\u2028\U0001f600"', '"}]{[,:"', r'"\\\""', "true", "false", "null", "[]", "{}", "[ ]", "{\n}",
    "[ 1e2 ,\t1.50,[\r\n-0.0 ] ]", r'{ "\u0061" : 1E+2 , "b":{"é" :[ ]}}', r'[{"\ud800":"\/"} , { }]',
]  # fmt: skip
written = st.one_of(
    st.sampled_from(WRITTEN),
    st.sampled_from(WRITTEN),
    st.builds(lambda value, indent: json.dumps(value, indent=indent), values, st.sampled_from([None, 0, 2])),
)
members = st.dictionaries(names, written, max_size=4)


def spell(name: str, how: int) -> str:
    """A member's name as JSON, with some or all of its letters escaped."""
    if how == 0:
        return json.dumps(name)
    codes = memoryview(name.encode("utf-16-le", "surrogatepass")).cast("H")
    return '"' + "".join(f"\\u{code:04x}" for code in codes) + '"'


@st.composite
def bodies(draw: st.DrawFn) -> tuple[dict[str, str], str]:
    """The members of an object by name, each as text, and the whole text."""
    drawn, space = draw(members), draw(spaces)
    spelt = [
        f"{space}{spell(name, draw(st.integers(0, 1)))}{draw(spaces)}:{space}{text}{draw(spaces)}"
        for name, text in drawn.items()
    ]
    return drawn, f"{space}{{{','.join(spelt) or space}}}{space}"


def read_pairs(text: str | bytes) -> Any:
    """JSON with each object as the list of its members, duplicates included."""
    return json.loads(text, object_pairs_hook=list)


@given(
    value=st.dictionaries(names, values, max_size=5),
    is_ascii=st.booleans(),
    indent=st.sampled_from([None, 0, 2]),
)
@example(value={"a": [{"b": "\ud800"}]}, is_ascii=False, indent=2)
def test_any_object_is_read_as_json_reads_it(
    value: dict[str, Any], *, is_ascii: bool, indent: int | None
) -> None:
    """Whatever object a client writes, its members are what the standard decoder makes of them."""
    raw = json.dumps(value, ensure_ascii=is_ascii, indent=indent).encode(errors="backslashreplace")
    assert repr(json.loads(raw)) == repr(parse_body(raw).members)


@given(bodies())
def test_every_way_of_writing_is_read_as_json_reads_it(body: tuple[dict[str, str], str]) -> None:
    """White space, escapes and number forms change nothing in what is read."""
    _, text = body
    assert repr(json.loads(text)) == repr(parse_body(text.encode()).members)


@given(bodies())
def test_untouched_members_keep_every_byte(body: tuple[dict[str, str], str]) -> None:
    """Each member that is neither taken away nor replaced goes upstream as it was written."""
    drawn, text = body
    parsed = parse_body(text.encode())
    forwarded = parsed.forwarded((), {}).decode()
    assert list(drawn) == list(parsed.texts)
    for name, written in drawn.items():
        assert parsed.texts[name].endswith(written.strip(" \t\r\n"))
        assert parsed.texts[name] in text
    assert "{" + ",".join(parsed.texts.values()) + "}" == forwarded


@given(bodies(), st.sets(st.sampled_from(["seed", "stream", "messages", "\ud800", "consistency"])))
def test_forwarded_has_exactly_the_expected_members(
    body: tuple[dict[str, str], str], without: set[str]
) -> None:
    """What is forwarded is JSON: the client's members less those taken away, and the added ones, each once."""
    _, text = body
    forwarded = parse_body(text.encode()).forwarded(without, ADDED)
    expected = [pair for pair in read_pairs(text) if pair[0] not in without and pair[0] not in ADDED]
    expected += [(name, read_pairs(value)) for name, value in ADDED.items()]
    assert repr(expected) == repr(read_pairs(forwarded))


@pytest.mark.parametrize(
    ("text", "without", "added", "forwarded"),
    [
        ("{}", (), {}, "{}"),
        (" { } ", (), {}, "{}"),
        ("{}", (), {"seed": "7"}, '{"seed":7}'),
        ('{"a":1}', ("a",), {}, "{}"),
        ('{"a":1,"b":2}', ("a",), {}, '{"b":2}'),
        ('{"a":1e2,"b":1.50}', (), {"seed": "7"}, '{"a":1e2,"b":1.50,"seed":7}'),
        ('{"seed":null,"a":[ 1 ]}', (), {"seed": "7"}, '{"a":[ 1 ],"seed":7}'),
        (r'{"\u0073eed":1,"a":2}', (), {"seed": "7"}, '{"a":2,"seed":7}'),
        (r'{"\u0063onsistency":{"k":5},"a":2}', ("consistency",), {}, '{"a":2}'),
        (r'{"a":"\ud800","b":"\/"}', (), {}, r'{"a":"\ud800","b":"\/"}'),
        ('{"a":"é漢\U0001f600"}', (), {}, '{"a":"é漢\U0001f600"}'),
        ('{ "a" : { "b" :\t[1,\n2 ] } , "c":3 }', (), {}, '{"a" : { "b" :\t[1,\n2 ] },"c":3}'),
        ('{"a":123456789012345678901234567890}', (), {}, '{"a":123456789012345678901234567890}'),
        ('{"a":{"seed":1},"b":"\\"seed\\":1"}', ("seed",), {}, '{"a":{"seed":1},"b":"\\"seed\\":1"}'),
    ],
)  # fmt: skip
def test_forwarded(text: str, without: tuple[str, ...], added: dict[str, str], forwarded: str) -> None:
    """These bodies are forwarded as these bytes."""
    assert forwarded.encode() == parse_body(text.encode()).forwarded(without, added)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"a":1,"a":1}', "a"),
        ('{"a":1,"b":2,"a":3}', "a"),
        (r'{"a":1,"\u0061":1}', "a"),
        ('{"":1,"":2}', ""),
        ('{"é":1,"\\u00e9":2}', "é"),
        ('{"x":{"a":1,"a":2}}', "a"),
        ('{"x":[[{"y":{"a":1,"b":1,"b":2}}]]}', "b"),
        ('{"messages":[{"role":"user","content":"a","role":"system"}]}', "role"),
        (r'{"\ud800":1,"\ud800":2}', "\\ud800"),
    ],
)  # fmt: skip
def test_a_duplicate_is_named(text: str, name: str) -> None:
    """A member given twice, at any depth and however it is spelt, is a 400 that names it and can be sent."""
    refused = refusal(text.encode())
    assert name == refused.param
    assert msgspec.json.encode([refused.message, refused.param])


@given(bodies().filter(lambda body: bool(body[0])), st.data())
def test_any_duplicate_is_refused(body: tuple[dict[str, str], str], data: st.DataObject) -> None:
    """Whatever member of whatever object comes once more, the body is refused."""
    drawn, text = body
    twice = data.draw(st.sampled_from([*drawn]))
    again = text.rstrip(" \t\r\n").removesuffix("}") + f",{spell(twice, data.draw(st.integers(0, 1)))}:1}}"
    assert f"duplicate member {twice!r}" == refusal(again.encode()).message
    assert f"duplicate member {twice!r}" == refusal(f'{{"in":[{again}]}}'.encode()).message


def test_a_duplicate_among_many_members_is_found_in_one_pass() -> None:
    """A hundred thousand members with a duplicate at the end are no work for minutes."""
    inside = ",".join(f'"{number}":1' for number in range(100_000))
    assert "99999" == refusal(f'{{"x":{{{inside},"99999":2}}}}'.encode()).param


DEEP = 10_000
BAD: dict[str, bytes] = {
    "empty": b"",
    "white space": b" \n",
    "an array": b"[]",
    "an array of objects": b'[{"a":1}]',
    "a string": b'"a"',
    "a number": b"1",
    "null": b"null",
    "a word": b"hello",
    "HTML": b"<html></html>",
    "a form": b"a=1&b=2",
    "an open object": b"{",
    "an open member": b'{"a"',
    "no value": b'{"a":',
    "no value before the end": b'{"a":}',
    "no colon": b'{"a" 1}',
    "no comma": b'{"a":1 "b":2}',
    "no end": b'{"a":1',
    "a comma before the end": b'{"a":1,}',
    "a comma before the end of an inner object": b'{"x":{"a":1,}}',
    "a comma before the end of an array": b'{"a":[1,]}',
    "a comma at the start": b'{,"a":1}',
    "two commas": b'{"a":1,,"b":2}',
    "only a comma": b"{,}",
    "a name without quotes": b"{a:1}",
    "a name in single quotes": b"{'a':1}",
    "a number as a name": b"{1:1}",
    "null as a name": b"{null:1}",
    "an array as a name": b"{[]:1}",
    "NaN as a name": b"{NaN:1}",
    "a comment": b'{"a":1/**/}',
    "something after the end": b'{"a":1}x',
    "a second object": b'{"a":1}{"b":2}',
    "a brace too many": b'{"a":1}}',
    "NUL after the end": b'{"a":1}\0',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "minus Infinity": b'{"a":-Infinity}',
    "NaN deep down": b'{"a":[{"b":NaN}]}',
    "a plus sign": b'{"a":+1}',
    "a leading zero": b'{"a":01}',
    "no digit after the point": b'{"a":1.}',
    "no digit before the point": b'{"a":.5}',
    "hexadecimal": b'{"a":0x10}',
    "other digits": '{"a":١٢}'.encode(),
    "True": b'{"a":True}',
    "a newline in a string": b'{"a":"b\nc"}',
    "a tab in a string": b'{"a":"b\tc"}',
    "NUL in a string": b'{"a":"b\0c"}',
    "a control character in a name": b'{"a\x1f":1}',
    "an unknown escape": rb'{"a":"\x41"}',
    "half an escape": rb'{"a":"\u00e"}',
    "an open string": b'{"a":"b}',
    "a form feed": b'{"a":\x0c1}',
    "a no-break space": '{\u00a0"a":1}'.encode(),
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "UTF-16 with a mark": '{"a":1}'.encode("utf-16"),
    "UTF-16-LE": '{"a":1}'.encode("utf-16-le"),
    "UTF-16-BE": '{"a":1}'.encode("utf-16-be"),
    "UTF-32": '{"a":1}'.encode("utf-32"),
    "Latin-1": '{"a":"é"}'.encode("latin-1"),
    "a surrogate in UTF-8": b'{"a":"\xed\xa0\x80"}',
    "an overlong slash": b'{"a":"\xc0\xaf"}',
    "half a character": b'{"a":"\xc3',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    "arrays nested too deeply": b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "arrays without an end": b'{"a":' + b"[" * DEEP,
    "only brackets": b"[" * DEEP,
    "objects nested too deeply": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "arrays as a name": b"{" + b"[" * DEEP,
    "an integer of 5000 digits": b'{"a":' + b"9" * 5000 + b"}",
    "an integer of 5000 digits deep down": b'{"a":[[-' + b"9" * 5000 + b"]]}",
}  # fmt: skip


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD.keys())
def test_what_is_no_object_of_strict_json_is_a_400(raw: bytes) -> None:
    """A body that is no JSON object in UTF-8 is refused, in a message that can be sent."""
    assert refusal(raw).message.startswith(("the body ", "duplicate "))
    assert msgspec.json.encode(refusal(raw).message)


def read_strictly(raw: bytes) -> Any:
    """What the standard decoder makes of strict JSON without duplicates; ValueError or RecursionError otherwise."""

    def refuse(what: object) -> None:
        raise ValueError(what)

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            refuse(pairs)
        return dict(pairs)

    return json.loads(raw.decode(), object_pairs_hook=collect, parse_constant=refuse)


def check_against_json(raw: bytes) -> None:
    """Either both read the same object, or the body is refused as a 400."""
    try:
        expected = read_strictly(raw)
    except (ValueError, RecursionError):
        expected = None
    if isinstance(expected, dict):
        assert repr(expected) == repr(parse_body(raw).members)
    else:
        assert refusal(raw).status == 400


@settings(max_examples=300)
@given(
    st.one_of(
        st.binary(),
        st.text().map(str.encode),
        st.text('{}[]:,"\\ \n0123456789.eE+-truefalsn').map(str.encode),
    )
)
def test_any_bytes_are_read_as_json_reads_them_or_refused(raw: bytes) -> None:
    """Whatever bytes come, they are read as the standard decoder reads them, or they are a 400."""
    check_against_json(raw)


@settings(max_examples=300)
@given(
    bodies(),
    st.integers(0),
    st.sampled_from(["cut", "drop", "insert", "replace", "double"]),
    st.sampled_from(b'{}[]",:\\ \n\0\xff1e-N'),
)
def test_damaged_bodies_are_read_as_json_reads_them_or_refused(
    body: tuple[dict[str, str], str], place: int, how: str, byte: int
) -> None:
    """A body that lost, gained or changed a byte is read as the standard decoder reads it, or it is a 400."""
    raw = body[1].encode()
    at = place % (len(raw) + 1)
    before, after, new = raw[:at], raw[at:], bytes([byte])
    damaged = {
        "cut": before,
        "drop": before + after[1:],
        "insert": before + new + after,
        "replace": before + new + after[1:],
        "double": before + after + after,
    }
    check_against_json(damaged[how])


@pytest.mark.parametrize("depth", [1, 50, 200])
def test_plausible_depths_are_read(depth: int) -> None:
    """A schema or a tool's arguments may be nested as deep as any sane one."""
    text = '{"a":' * depth + "[" * depth + "]" * depth + "}" * depth
    assert json.loads(text) == parse_body(text.encode()).members
    assert text.encode() == parse_body(text.encode()).forwarded((), {})


def refusal(raw: bytes) -> BadRequest:
    """The reason for which a body is refused; no other exception will do."""
    with pytest.raises(BadRequest) as refused:
        parse_body(raw)
    return refused.value
