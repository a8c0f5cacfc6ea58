"""Mathematical answers by value."""

from itertools import combinations

import pytest

from gateway.extraction.mathematics import canonical_math

# Each line is one answer in several spellings.
SAME = [
    (r"\boxed{\frac{1}{2}}", r"$\frac12$", "1/2", "0.5", r"The answer is \(0.50\).", r"\boxed{50\%}", r"\frac{2}{4}"),
    (r"\boxed{41}", "41", "So it is 41.", r"\boxed{x = 41}"),
    (r"\boxed{42}", "42.0", "$42$", r"\boxed{6 \cdot 7}", r"\boxed{\frac{84}{2}}"),
    (r"\boxed{1,234}", "1234"),
    (r"\boxed{\sqrt{8}}", r"\boxed{2\sqrt{2}}", r"\boxed{\frac{4}{\sqrt{2}}}"),
    (r"\boxed{\frac{1}{1+\sqrt{2}}}", r"\boxed{\sqrt{2}-1}"),
    (r"\boxed{(x+1)^2}", r"\boxed{x^2+2x+1}", r"\boxed{1+2x+x^2}", "x^2 + 2x + 1", r"\boxed{y=(x+1)^2}"),
    (r"\boxed{\frac{x^2-1}{x-1}}", r"\boxed{x+1}"),
    (r"\boxed{\{1,2,3\}}", r"\boxed{\{3,2,1\}}", r"\boxed{\{1,2\}\cup\{3\}}"),
    (r"\boxed{[1,2)\cup(3,4)}", r"\boxed{(3,4)\cup[1,2)}"),
    (r"\boxed{(0.5,3)}", r"\boxed{\left(\frac{1}{2}, 3\right)}"),
    (r"\boxed{(1,2]}", r"\boxed{x\in(1,2]}"),
    (r"\boxed{x \geq 3}", r"\boxed{3 \le x}"),
    (r"\boxed{\begin{pmatrix}1&2\\3&4\end{pmatrix}}", r"\boxed{\begin{pmatrix}1&2\\3&\frac{8}{2}\end{pmatrix}}"),
    (r"\boxed{x=3 \text{ or } x=4}", r"\boxed{\{4, 3\}}"),
    (r"\boxed{\sin^2 x+\cos^2 x}", r"\boxed{1}"),
    (r"\boxed{0.1+0.2}", r"\boxed{0.3}"),
    (r"\boxed{1e5}", r"\boxed{10^5}"),
    (r"\boxed{\frac{\pi}{2}}", r"\boxed{\pi/2}", r"\boxed{0.5\pi}"),
]  # fmt: skip


@pytest.mark.parametrize("spellings", SAME, ids=lambda spellings: spellings[0])
def test_equal_values_are_one_answer(spellings: tuple[str, ...]) -> None:
    """However a value is written, it has one canonical form."""
    assert 1 == len({canonical_math(spelling) for spelling in spellings})
    assert canonical_math(spellings[0]) is not None


def test_different_values_are_different_answers() -> None:
    """No two lines of the table have one form, and neither have near ones."""
    near = [
        r"\boxed{0.333333}",
        r"\boxed{\frac{1}{3}}",
        r"\boxed{0.3333333333333333333}",
        r"\boxed{(1,2)}",
        r"\boxed{(2,1)}",
        r"\boxed{\{1,2\}}",
        r"\boxed{(1,2,3)}",
        r"\boxed{(3,2,1)}",
        r"\boxed{x > 3}",
        r"\boxed{x=3, y=4}",
        r"\boxed{x=4, y=3}",
        r"\boxed{1<x<2}",
        r"\boxed{\text{yes}}",
        r"\boxed{\text{no}}",
        r"\boxed{-1}",
    ]
    forms = [canonical_math(text) for text in [*near, *(spellings[0] for spellings in SAME)]]
    assert None not in forms
    assert [] == [pair for pair in combinations(forms, 2) if pair[0] == pair[1]]


@pytest.mark.parametrize(
    "text",
    ["", "no mathematics here", r"\boxed{ }", r"\boxed{1<2}", r"\boxed{12_3}", r"\boxed{\neg p}",
     r"\boxed{\frac{1}{0}}"],
)  # fmt: skip
def test_what_is_no_answer(text: str) -> None:
    """Nothing to read, nothing that has a value, and notation that the parser misreads."""
    assert canonical_math(text) is None


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (r"First \boxed{1}, then $2$, so \boxed{3}. That is $4$.", "3"),
        ("From $x=1$ follows $y=2$.", "2"),
        ("There are 12 of them, so 7 remain.", "7"),
    ],
)
def test_where_the_answer_stands(text: str, form: str) -> None:
    """The last box, else the last formula, else the last number."""
    assert form == canonical_math(text)
