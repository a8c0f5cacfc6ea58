"""The last number of a text."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.answer.number import last_number, sole_number

PLAIN = [
    ("The answer is 42.", "42"),
    ("42", "42"),
    ("42.0", "42"),
    ("42.50", "42.5"),
    ("41, no, 42!", "42"),
    ("**42**", "42"),
    (r"\boxed{42}", "42"),
    ("$42$", "42"),
    ("(42)", "42"),
    ("答案是42。", "42"),
    ("x=42", "42"),
    ("42 km", "42"),
    ("60 km/h", "60"),
    ("25 cm^2", "25"),
    ("25 m\u00b2", "25"),
    ("007", "7"),
    (".5", "0.5"),
    ("1. 41\n2. 42", "42"),
    ("1, 2", "2"),
    ("3.14159...", "3.14159"),
]
SIGNS = [
    ("-5", "-5"),
    ("\u22125", "-5"),
    ("\u20135", "-5"),
    ("x = -5", "-5"),
    ("x=-5", "-5"),
    ("-.5", "-0.5"),
    ("- 5 apples", "5"),  # a list
    ("+5", "5"),
    ("-0", "0"),
    ("(2)-5", "5"),  # a difference
]
SEPARATORS = [
    ("1,234", "1234"),
    ("1,234,567.89", "1234567.89"),
    ("1{,}234", "1234"),
    (r"1\,234", "1234"),
    ("1\u202f234", "1234"),
    ("12345", "12345"),
    ("1,2", None),
    ("[1,2,3]", None),
    ("1.234,56", None),
    ("1,00,000", None),
    ("0,123", None),
]
UNITS = [
    ("$1,234.50", "1234.5"),
    (r"\$42", "42"),
    ("-$5", "-5"),
    ("$-5", "-5"),
    ("€ 42", "42"),
    ("42 €", "42"),
    ("50%", "0.5"),
    (r"50\%", "0.5"),
    ("50 %", "0.5"),
    ("50 percent", "0.5"),
    ("50 per cent", "0.5"),
    ("0.5", "0.5"),
    ("12.5%", "0.125"),
]
EXPONENTS = [
    ("1e5", "100000"),
    ("1.5e-3", "0.0015"),
    ("5E+3", "5000"),
    ("5\u00d710^3", "5000"),
    (r"5 \times 10^{3}", "5000"),
    ("6.02 x 10^23", "602e21"),
    ("10^3", "1000"),
    ("10^{-3}", "0.001"),
    ("1e9999999999999999999", None),
    ("5e", "5"),
]
FRACTIONS = [
    ("3/4", "0.75"),
    ("1/2", "0.5"),
    ("2/4", "0.5"),
    ("1/3", "1/3"),
    ("2/6", "1/3"),
    ("-1/3", "-1/3"),
    ("9.5/10", "0.95"),
    (r"\frac{1}{2}", "0.5"),
    (r"-\frac{1}{2}", "-0.5"),
    (r"\dfrac{3}{2}", "1.5"),
    (r"\frac12", "0.5"),
    ("50/100%", "0.005"),
    ("1/0", None),
    ("3 1/2", None),
    (r"3\frac{1}{2}", None),
    ("3\u00bd", None),
    (r"\frac{\pi}{2}", None),
    (r"\frac{1}{x}", None),
    ("\u03c0/2", None),
    ("1" * 60 + "/3", None),
]
MORE_THAN_A_NUMBER = [
    ("2024-12-25", None),
    ("12/25/2024", None),
    ("25.12.2024", None),
    ("12:30", None),
    ("3:1", None),
    ("5-10", None),
    ("5\u201310", None),
    ("1.2.3", None),
    ("10-5=5", "5"),
    ("5*3", None),
    ("2^10", None),
    ("2^{10} = 1024", "1024"),
    ("5\u00b2", None),
    ("\u221a2", None),
    (r"\sqrt{2}", None),
    ("2\u03c0", None),
    (r"2\pi", None),
    (r"3 \sqrt{x}", None),
    ("5^x", None),
    (r"42 \pm", "42"),
    (r"\sqrt[3]{2}", None),
    ("42 (as of 2024-12-25)", None),  # the last thing with digits is what counts
]
NO_NUMBER = [
    ("", None),
    ("none", None),
    ("H2O", None),
    ("COVID-19", None),
    ("v1.2.3", None),
    ("x_1", None),
    ("x^2", None),
    ("GPT-4 says 7", "7"),
    ("42 molecules of H2O", "42"),
    ("\u0664\u0662", None),
]


@pytest.mark.parametrize(
    ("text", "number"),
    PLAIN + SIGNS + SEPARATORS + UNITS + EXPONENTS + FRACTIONS + MORE_THAN_A_NUMBER + NO_NUMBER,
    ids=lambda text: repr(text)[:24],
)
def test_the_last_number(text: str, number: str | None) -> None:
    """The last number counts by its value; what is more than a number is none rather than a piece of it."""
    assert number == last_number(text)


@pytest.mark.parametrize(
    "texts",
    [
        ("41", "42"), ("42", "-42"), ("42", "4.2"), ("1/2", "3/2"), ("50", "50%"), ("1e5", "1e6"),
        ("0.1", "0.10000000000000000001"), ("9007199254740993", "9007199254740992"),
        ("1" * 10_000, "1" * 9_999 + "2"),
    ],
    ids=lambda texts: repr(texts)[:24],
)  # fmt: skip
def test_no_two_numbers_are_one(texts: tuple[str, str]) -> None:
    """Numbers that differ in any digit are different answers, at any length."""
    one, other = map(last_number, texts)
    assert one is not None
    assert other is not None
    assert one != other


@settings(max_examples=150)
@given(
    value=st.decimals(allow_nan=False, allow_infinity=False, places=4),
    words=st.sampled_from(["so {}.", "{}", "= {}!"]),
)
def test_decimals_are_read_as_written(value: Decimal, words: str) -> None:
    """Any decimal is found at the end of a sentence, grouped or not, with its value."""
    assert value == Decimal(last_number(words.format(f"{value:f}")) or "nan")
    assert value == Decimal(last_number(words.format(f"{value:,f}")) or "nan")


@settings(max_examples=100)
@given(over=st.integers(-999, 999), under=st.integers(1, 999))
def test_fractions_are_read_by_value(over: int, under: int) -> None:
    """A fraction is its value, whatever it is written as."""
    assert Fraction(over, under) == Fraction(last_number(f"It is {over}/{under}") or "0/1") or over == 0
    assert last_number(f"{over}/{under}") == last_number(f"{over * 3}/{under * 3}")


@pytest.mark.parametrize(
    ("text", "number"),
    [(" 42 ", "42"), ("50%", "0.5"), (r"\frac{1}{2}", "0.5"), ("1e5", "100000"),
     ("42 km", None), ("x=5", None), ("", None)],
)  # fmt: skip
def test_a_text_that_is_one_number(text: str, number: str | None) -> None:
    """A number and nothing else is told from a text with one in it."""
    assert number == sole_number(text)
