"""From what an upstream said to a vote."""

from unicodedata import is_normalized

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.answer.rules import resolve
from gateway.core.ballot import (
    Abstention,
    Ballot,
    Extracted,
    Reply,
    Sample,
    Spoiled,
    cast,
    exact_text,
    is_costly,
)
from gateway.core.plan import Plan
from gateway.core.policy import PRESETS

quickly = settings(max_examples=100)

PIECES = st.text(alphabet='ab"[],\\\0\n \u00e9e\u0301\ud800\U0001f600', max_size=5)
REPLIES = st.builds(
    Reply, PIECES, refusal=PIECES, calls=st.lists(st.tuples(PIECES, PIECES), max_size=2).map(tuple)
)


def answer_of(reply: Reply, field: str) -> str:
    """What a reply votes for."""
    vote = cast(Sample(0, reply), field)
    assert isinstance(vote, Ballot)
    return vote.answer


@pytest.mark.parametrize("field", ["auto", "text", "normalized"])
def test_a_ballot_keeps_its_sample(field: str) -> None:
    """The sample comes through as it is, with its exact text beside the answer."""
    sample = Sample(3, Reply("  a  b "), b"bytes", streamed=True, upstream="vllm-a")
    vote = cast(sample, field)
    assert isinstance(vote, Ballot)
    assert sample is vote.sample
    assert vote.text == "  a  b "


@quickly
@given(reply=REPLIES)
def test_auto_votes_by_exact_text(reply: Reply) -> None:
    """Under `text`, and `auto` as far as it goes, the answer is the exact text, not a character changed."""
    assert exact_text(reply) == answer_of(reply, "text")
    assert exact_text(reply) == answer_of(reply, "auto")


@pytest.mark.parametrize("content", ["", "42", " 42\n", "[]", '["42", "", []]', "a\0b", "\u00e9", "\ud800"])
def test_plain_content_is_its_own_text(content: str) -> None:
    """A reply of content alone has that content as its text."""
    assert content == exact_text(Reply(content))


@quickly
@given(one=REPLIES, other=REPLIES)
def test_different_replies_have_different_texts(one: Reply, other: Reply) -> None:
    """Two replies have one text exactly if content, refusal and calls are equal."""
    alike = (one.content, one.refusal, one.calls) == (other.content, other.refusal, other.calls)
    assert alike == (exact_text(one) == exact_text(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Reply("no"), Reply("", refusal="no")),
        (Reply("a", refusal="b"), Reply("b", refusal="a")),
        (Reply("f(1)"), Reply("", calls=(("f", "1"),))),
        (Reply("\nf(1)"), Reply("", calls=(("f", "1"),))),
        (Reply("", calls=(("f", "1"),)), Reply("", calls=(("f", "1"), ("f", "1")))),
        (Reply("", calls=(("f", "1"), ("g", "2"))), Reply("", calls=(("g", "2"), ("f", "1")))),
        (Reply("", calls=(("f", '1"], ["g", "2'),)), Reply("", calls=(("f", "1"), ("g", "2")))),
        (Reply("", calls=(("f", '{"a":1}'),)), Reply("", calls=(("f", '{"a": 1}'),))),
        (Reply('\0["a", "", [["f", "1"]]]'), Reply("a", calls=(("f", "1"),))),
        (Reply("\u00e9"), Reply("e\u0301")),
        (Reply("41"), Reply("42")),
        (Reply("42"), Reply("42 ")),
        (Reply("\0"), Reply("")),
    ],
)
def test_lookalikes_are_different_answers(one: Reply, other: Reply) -> None:
    """A refusal, a call, and content that imitates their encoding never count as one answer."""
    assert answer_of(one, "text") != answer_of(other, "text")


def test_how_a_reply_ended_is_no_part_of_the_answer() -> None:
    """Finish reason and token count are the engine's account of an answer, and do not split votes."""
    for field in ("auto", "text", "normalized"):
        assert answer_of(Reply("42", finish="stop", tokens=1), field) == answer_of(
            Reply("42", finish="length", tokens=9), field
        )


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (Reply("The  answer\n is\t42. "), "The answer is 42."),
        (Reply("42"), "42"),
        (Reply("\u00a042\u2003"), "42"),
        (Reply("e\u0301te\u0301"), "\u00e9t\u00e9"),
        (Reply(" \n "), ""),
        (Reply("THE Answer"), "THE Answer"),
        (Reply("\ufb01"), "\ufb01"),  # a ligature: canonical, not compatibility, composition
    ],
)
def test_normalized_answers(reply: Reply, answer: str) -> None:
    """Under `normalized` white space is collapsed and accents are composed; case and all else stay."""
    assert answer == answer_of(reply, "normalized")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Reply("", refusal="I  can't"), Reply("", refusal="I can't "), True),
        (Reply("I can't"), Reply("", refusal="I can't"), False),
        (Reply("", calls=(("f", '{"a":  1}'),)), Reply("", calls=(("f", '{"a": 1}'),)), True),
        (Reply("", calls=(("f", '{"a": 1}'),)), Reply("", calls=(("f", '{"a":1}'),)), False),
        (Reply("", calls=(("f", "{}"),)), Reply("", calls=(("f ", "{}"),)), False),
        (Reply("41"), Reply("42"), False),
        (Reply("4 2"), Reply("42"), False),
    ],
)
def test_normalized_replies(one: Reply, other: Reply, same: bool) -> None:  # noqa: FBT001  a column
    """Refusals and arguments are normalized like content, and are still told apart from it."""
    assert same == (answer_of(one, "normalized") == answer_of(other, "normalized"))


@pytest.mark.parametrize("marks", ["\u0301\u0323", "\u0f73\u0323"])  # the second of them is two, in NFC
@pytest.mark.parametrize(("times", "composed"), [(10, True), (16, False), (300_000, False)])
def test_marks_that_pile_up(marks: str, times: int, composed: bool) -> None:  # noqa: FBT001  a column
    """More marks in a row than any language has are not composed, which would take time quadratic in their number."""
    piled = "e" + marks * times
    assert composed == (answer_of(Reply(f"\ud800 {piled}  x"), "normalized") != f"\ud800 {piled} x")


@quickly
@given(content=st.text(max_size=30))
def test_normalizing_twice_changes_nothing(content: str) -> None:
    """A normalized answer is composed, has single inner spaces, and is its own normal form."""
    folded = answer_of(Reply(content.replace("\0", "")), "normalized")
    assert is_normalized("NFC", folded)
    assert " ".join(folded.split()) == folded
    assert folded == answer_of(Reply(folded), "normalized")


def test_a_vote_is_under_a_known_answer() -> None:
    """A rule that nobody knows, and one that is read elsewhere, are bugs of the caller, no silent votes by text."""
    for rule in ("fuzzy", "math"):
        with pytest.raises(KeyError):
            cast(Sample(0, Reply("42")), rule)


CALL = (("f", '{"a": 1}'),)


@pytest.mark.parametrize(
    ("rule", "reply", "answer"),
    [
        ("json", Reply('<think>{"a":2}</think>{"a": 1.0}'), '{"a":1}'),
        ("json", Reply('<think>{"a":2}'), None),
        ("json", Reply("yes"), None),
        ("json", Reply('{"a": 1}', calls=CALL), None),
        ("json", Reply("1", refusal="no"), None),
        ("number", Reply("<think>41</think>It is 42."), "42"),
        ("number", Reply("<think>It is 42"), None),
        ("number", Reply("I call with 41", calls=CALL), None),
        ("boxed", Reply(r"41 \boxed{42}"), "42"),
        ("choice", Reply("<think>(A)</think>(B)"), "B"),
        (r"regex:(\d+)$", Reply("<think>1</think>42"), "42"),
        ("regex:x", Reply("y"), None),
        ("tool_calls", Reply("So I call.", calls=CALL), '\0calls[{"arguments":{"a":1},"name":"f"}]'),
        ("tool_calls", Reply('f({"a": 1})'), None),
        ("calls-or-text", Reply("So I call.", calls=CALL), '\0calls[{"arguments":{"a":1},"name":"f"}]'),
        ("calls-or-text", Reply("<think>x</think>42 "), "<think>x</think>42 "),
        ("calls-or-text", Reply('\0calls[{"arguments":{"a":1},"name":"f"}]'),
         exact_text(Reply('\0calls[{"arguments":{"a":1},"name":"f"}]'))),
        ("calls-or-json", Reply('{"b":1, "a":1}'), '{"a":1,"b":1}'),
        ("calls-or-json", Reply("", calls=CALL), '\0calls[{"arguments":{"a":1},"name":"f"}]'),
        ("calls-or-json", Reply("", refusal="I can't"), exact_text(Reply("", refusal="I can't"))),
        ("calls-or-json", Reply("I can't"), None),
    ],
)  # fmt: skip
def test_what_each_rule_reads(rule: str, reply: Reply, answer: str | None) -> None:
    """A rule's answer comes from the content after thinking, or from the calls; without one the sample is spoiled."""
    vote = cast(Sample(0, reply), rule)
    assert answer == (vote.answer if isinstance(vote, Ballot) else None)
    assert exact_text(reply) == vote.text


@pytest.mark.parametrize(
    ("answer", "has_tools", "wants_json", "rule"),
    [
        ("auto", False, False, "text"),
        ("auto", True, False, "calls-or-text"),
        ("auto", False, True, "calls-or-json"),
        ("auto", True, True, "calls-or-json"),
        ("json", True, False, "json"),
        ("text", True, True, "text"),
        ("regex:a", False, True, "regex:a"),
    ],
)
def test_auto_is_what_the_request_asks_for(
    answer: str,
    has_tools: bool,  # noqa: FBT001  a column
    wants_json: bool,  # noqa: FBT001  likewise
    rule: str,
) -> None:
    """Calls or JSON where a request asks for them, else text; every other answer is what it is."""
    assert rule == resolve(answer, has_tools=has_tools, wants_json=wants_json)
    policy = PRESETS["majority"].override({"answer": answer})
    assert (
        rule == Plan(policy, 0, greedy=True, question=b"", has_tools=has_tools, wants_json=wants_json).answer
    )


def test_what_was_extracted_elsewhere_is_taken() -> None:
    """A sample that brings its answer votes for it, and one that brings none is spoiled."""
    brought = cast(Sample(0, Reply(r"$\frac12$"), extracted=Extracted("0.5")), "math")
    assert isinstance(brought, Ballot)
    assert "0.5" == brought.answer
    assert isinstance(cast(Sample(0, Reply("1"), extracted=Extracted(None)), "math"), Spoiled)


@pytest.mark.parametrize(
    ("rule", "reply", "costly"),
    [
        ("math", Reply("1"), True),
        ("json", Reply("1" * 16_384), False),
        ("json", Reply("1" * 16_385), True),
        ("calls-or-text", Reply("", calls=(("f", "1" * 9_000), ("f", "1" * 9_000))), True),
        ("regex:a", Reply("a" * 1_000_000), True),
        ("text", Reply("a" * 1_000_000), False),
        ("normalized", Reply("a" * 16_384), False),
        ("normalized", Reply("", refusal="a" * 16_385), True),
    ],
)
def test_what_is_costly(rule: str, reply: Reply, costly: bool) -> None:  # noqa: FBT001  a column
    """Mathematics, and anything long that has to be looked through, is better read elsewhere."""
    assert costly == is_costly(reply, rule)


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (Reply("42"), "42"),
        (Reply("", refusal="no"), "no"),
        (Reply("Sure", calls=(("f", '{"a":1}'), ("g", ""))), 'Sure\nf({"a":1})\ng()'),
    ],
)
def test_what_people_compare(reply: Reply, shown: str) -> None:
    """Shown to people, a reply is its content, its refusal and a line for each call."""
    assert shown == reply.shown


@pytest.mark.parametrize(
    ("status", "is_final"),
    [
        (None, False),
        (200, False),
        (302, False),
        (400, True),
        (401, True),
        (403, True),
        (404, True),
        (408, False),
        (413, True),
        (422, True),
        (425, False),
        (429, False),
        (499, True),
        (500, False),
        (503, False),
    ],
)
def test_which_errors_no_retry_can_mend(status: int | None, is_final: bool) -> None:  # noqa: FBT001  a column
    """A 4xx is final unless it is about time or load; a 5xx or no status at all is not."""
    assert is_final == Abstention(0, "status", status).is_final
