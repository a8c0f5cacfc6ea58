"""Boxes, choices, patterns, calls, and thinking in the content."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.answer.boxed import last_boxed
from gateway.core.answer.calls import canonical_calls
from gateway.core.answer.choice import last_choice
from gateway.core.answer.regex import last_match, refusal
from gateway.core.answer.thinking import after_thinking


@pytest.mark.parametrize(
    ("text", "boxed"),
    [
        (r"\boxed{42}", "42"),
        (r"so $\boxed{ 41 }$, no, $\boxed{ 42 }$.", "42"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed {x^{2^{3}}}", "x^{2^{3}}"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"\boxed{a + \boxed{b}}", "b"),
        (r"{\boxed{1}", "1"),
        (r"\boxed{1}} }", "1"),
        (r"\boxed{1} \boxed{2", "1"),  # the last one is cut
        (r"\boxed{2 {a}", None),
        (r"\boxed{}", None),
        (r"\boxed{ }", None),
        (r"\boxed 5", None),
        (r"\fbox{5}", None),
        ("42", None),
        ("\\boxed{" * 100_000, None),
        ("\\boxed{a\nb}", "a\nb"),
    ],
    ids=lambda text: repr(text)[:24],
)
def test_boxes(text: str, boxed: str | None) -> None:
    """The last box whose braces balance, without the white space at its edges."""
    assert boxed == last_boxed(text)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("B.", "B"),
        ("**B**", "B"),
        ("The answer is B", "B"),
        ("Answer:C", "C"),
        ("(B)", "B"),
        ("[B]", "B"),
        (r"\boxed{B}", "B"),
        (r"\boxed{\text{(B)}}", "B"),
        ("( B )", "B"),
        ("A or B? It is C.", "C"),
        ("(B), since A, C and D are wrong: D", "B"),
        ("(A) no, (B) yes", "B"),
        ("答案是B。", None),  # no space: a letter of a word, for all one can tell
        ("答案\uff1aB。", "B"),
        ("B. A cat has four legs.", "B"),
        ("B\nA reason is given above", "B"),
        ("A is right", "A"),
        ("The answer is A because", "A"),
        ("B is wrong, A is right", "A"),
        ("A", "A"),
        ("I", None),
        ("b", None),
        ("(b)", None),
        ("Apple", None),
        ("B2, A-level, C++, F#, D'Arcy, U.S.A., A/B", None),
        ("A\u2013D", None),
        ("", None),
    ],
    ids=lambda text: repr(text)[:24],
)
def test_choices(text: str, letter: str | None) -> None:
    """A letter from A to H in brackets beats one that stands alone; articles and words are none."""
    assert letter == last_choice(text)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"\d+", "41, 42", "42"),
        (r"answer: (\w+)", "answer: a; answer: b", "b"),
        (r"(\w+)=(\w+)", "a=1 b=2", "b"),
        (r"(?:a|(b))", "ba", "b"),  # where group 1 takes no part there is no answer
        (r"\d*", "42 x", "42"),
        (r"(?i)ANSWER: (.*)", "Answer: é\n", "é"),
        (r"(?m)^(\w)$", "a\nb\nc.", "b"),
        (r"\bfoo", "foobar xfoo", "foo"),
        (r"x", "", None),
        (r".", "\ud800", "?"),
        (r"(\d)", "1" * 1_000_000 + "2", "2"),
        (r"^\d", "12", "1"),
        (r"(a+)+$", "a" * 1_000_000 + "b", None),
        (r"(x+x+)+y", "x" * 1_000_000, None),
        (r"answer: (\d+)", "answer: 42" + "x" * 1_000_000, "42"),
    ],
    ids=lambda text: repr(text)[:24],
)
def test_patterns(pattern: str, text: str, found: str | None) -> None:
    """Group 1 of the last match, else the match; no pattern and no text make it a matter of minutes."""
    assert refusal(pattern) is None
    assert found == last_match(pattern, text)


@settings(max_examples=100)
@given(text=st.text(alphabet="ab1 é", max_size=300))
def test_the_last_match_is_the_last(text: str) -> None:
    """Up to 128 matches, it is the last that going through the text from its start finds."""
    import re

    matches = re.findall(r"[ab]+1?", text)
    assert (matches[-1] if matches else None) == last_match(r"[ab]+1?", text)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "needs a pattern"),
        ("(?=a)b", "invalid perl operator: (?="),
        ("(?<!a)b", "invalid perl operator: (?<!"),
        (r"(a)\1", r"invalid escape sequence: \1"),
        ("a++", "bad repetition operator: ++"),
        ("(", "missing ): ("),
        ("a{1,5000}", "invalid repetition size: {1,5000}"),
        ("(a{0,30}){0,30}", "unfolds to "),
        ("\ud800", "not Unicode text"),
    ],
)
def test_patterns_that_are_refused(pattern: str, why: str) -> None:
    """What RE2 cannot take, or only at a price, is refused by the construct that is at fault."""
    assert why in (refusal(pattern) or "")


CALL = ("weather", '{"city": "Paris", "days": 3}')


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([CALL], [("weather", '{"days":3.0,"city":"Paris"}')], True),
        ([CALL], [("weather", '{"city": "Rome", "days": 3}')], False),
        ([CALL], [("clock", CALL[1])], False),
        ([CALL, ("f", "{}")], [("f", "{}"), CALL], False),
        ([CALL], [CALL, CALL], False),
        ([("f", "")], [("f", "{}")], False),
        ([("f", "{}")], [("f", " { } ")], True),
        ([("f", "ls  -l")], [("f", "ls  -l")], True),  # a custom tool's text
        ([("f", "1.0")], [("f", "1")], False),  # likewise: no object, so no arguments of a function
        ([("f", '{"a":1')], [("f", '{"a": 1')], False),  # what cannot be parsed equals only its copies
        ([("f", '{"a":1,"a":1}')], [("f", '{"a":1}')], False),
        ([("f", '"{}"')], [("f", "{}")], False),
        ([('f","name":"g', "{}")], [("f", "{}"), ("g", "{}")], False),
        ([("f", '{"a":NaN}')], [("f", '{"a":NaN}')], True),
    ],
    ids=str,
)  # fmt: skip
def test_calls(one: list[tuple[str, str]], other: list[tuple[str, str]], same: bool) -> None:  # noqa: FBT001  a column
    """Two lists of calls are one answer if they do the same things in the same order."""
    assert same == (canonical_calls(one) == canonical_calls(other))


def test_no_calls() -> None:
    """Nothing called is no answer."""
    assert canonical_calls([]) is None


@pytest.mark.parametrize(
    ("content", "after"),
    [
        ("42", "42"),
        ("<think>41?</think>42", "42"),
        (" \n<think>41?\n</think>\n42", "\n42"),
        ("<think></think><think>41</think>42", "42"),
        ("41? hm\n</think>\n42", "\n42"),  # the template opened the block
        ("<think>41", None),
        ("<think>", None),
        ("<think>a</think><think>b", None),
        ("<think>a</think>", ""),
        ("42 <think>41</think>", "42 <think>41</think>"),  # not leading
        ("<think>a</think>say </think>", "say </think>"),
        ("<thinking>41</thinking>42", "<thinking>41</thinking>42"),
        ("<think>" * 50_000, None),
        ("<think></think>" * 50_000 + "42", "42"),
    ],
    ids=lambda text: repr(text)[:24],
)
def test_thinking(content: str, after: str | None) -> None:
    """Leading thought is skipped; an answer that was cut in it has none."""
    assert after == after_thinking(content)
