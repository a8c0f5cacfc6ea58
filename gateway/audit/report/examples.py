"""The page's prompts: examples of how their answers differ, and a line for each."""

from collections.abc import Iterator, Sequence
from html import escape

from gateway.audit.find.differences import Example
from gateway.audit.find.findings import Findings
from gateway.audit.report.tables import table
from gateway.core.divergence import divergence

_VARIANTS = 4  # texts of an example that are shown
_BEFORE, _AFTER = 160, 320  # characters around a difference


def examples(examples: Sequence[Example]) -> Iterator[str]:
    """The most divided prompts, with where their texts part."""
    if not examples:
        return
    yield "<h2>Examples</h2>"
    yield (
        "<p>The prompts with the most different texts. What is <mark>marked</mark> differs from the most frequent one,"
        " which is marked from where any other differs.</p>"
    )
    for each in examples:
        yield f"<h3>{each.number}. {escape(each.shown)}</h3>"
        yield f'<p class="quiet">{len(each.variants)} texts, which part at character {each.divergence}.</p>'
        for variant in each.variants[:_VARIANTS]:
            copies = ", ".join(f"{number} {name}" for name, number in variant.copies)
            parts = divergence((variant.text, each.variants[0].text))
            shown = _diff(variant.text, each.divergence if parts is None else parts)
            yield f'<p class="quiet">{escape(copies)}</p><pre>{shown}</pre>'
        if len(each.variants) > _VARIANTS:
            yield f'<p class="quiet">and {len(each.variants) - _VARIANTS} more.</p>'


def _diff(text: str, at: int) -> str:
    """The text around its difference, what follows it marked."""
    start = max(0, at - _BEFORE)
    before = ("…" if start else "") + text[start:at]
    after = text[at : at + _AFTER] + ("…" if len(text) > at + _AFTER else "")
    return f"{escape(before)}<mark>{escape(after) or '(ends here)'}</mark>"


def prompts(findings: Findings) -> Iterator[str]:
    """All prompts, the least reproducible first."""
    ordered = sorted(
        findings.prompts, key=lambda each: (each.answer is None, each.answer or 0.0, each.number)
    )
    yield "<h2>By prompt</h2>"
    yield f"<details><summary>{len(ordered)} prompts, the least reproducible first</summary>"
    yield from table(
        "Copies apart",
        ("no.", "prompt", "copies", "texts", "answers", "same text", "same answer", "texts part at"),
        [
            (
                str(each.number),
                escape(each.shown),
                str(each.copies),
                str(each.texts),
                str(each.answers),
                "-" if each.text is None else f"{each.text:.2f}",
                "-" if each.answer is None else f"{each.answer:.2f}",
                "" if each.divergence is None else str(each.divergence),
            )
            for each in ordered
        ],
        words=1,
    )
    yield "</details>"
