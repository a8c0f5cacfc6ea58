"""The report as plain text, for a terminal or a log."""

from collections.abc import Iterator, Sequence

from gateway.audit.find.advice import Advice, cautions, spelled, title
from gateway.audit.find.conditions import Condition
from gateway.audit.find.findings import Findings
from gateway.calling.bootstrap import Rate

_WIDTH = 100


def report(findings: Findings, advice: Advice) -> str:
    """All of it."""
    return "\n".join(_lines(findings, advice)) + "\n"


def _lines(findings: Findings, advice: Advice) -> Iterator[str]:
    head = findings.head
    yield f"{head.spec.model} ({head.engine}) at {', '.join(head.urls)}"
    yield (
        f"{findings.heard} answers to {len(head.spec.prompts)} prompts, temperature {head.spec.temperature:g}, answers"
        f" compared by `{head.spec.answer}`. Shares are of pairs of copies; in brackets 95 % over prompts."
    )
    yield ""
    yield from _table(
        ("how asked", "answers", "same text", "same answer", "next round's", "as alone", "most texts", "s"),
        [_condition(each) for each in findings.conditions if each.answers],
    )
    yield "Copies of one round share a batch: how far they agree says little of the next round."
    yield ""
    yield from _table(
        ("asked again, the same under", "text", "answer", "samples", "on reference", "cost"),
        [
            (
                title(each.policy),
                _rate(each.policy.text),
                _rate(each.policy.answer),
                f"{each.policy.samples:.2f}",
                f"{each.policy.reference:.2f}",
                "?" if each.cost is None else f"{each.cost:.2f}x",
            )
            for each in advice.priced
        ],
    )
    yield ""
    yield from (f"{line}" for line in _further(findings))
    yield ""
    if findings.headline and findings.headline.answer:
        yield f"Two copies apart have the same answer: {spelled(findings.headline.answer)}"
    yield from (f"Recommended: {line}" if not at else f"  {line}" for at, line in enumerate(advice.said))
    yield f"  {advice.settings}"
    for line in cautions(findings):
        yield f"note: {line}"


def _condition(each: Condition) -> Sequence[str]:
    within = "" if each.is_independent else " *"
    return (
        each.name,
        str(each.answers),
        _rate(each.text) + within,
        _rate(each.answer) + within,
        _rate(each.next_answer),
        _rate(each.as_alone),
        str(each.most_texts),
        f"{each.seconds:.2f}",
    )


def _further(findings: Findings) -> Iterator[str]:
    headline = findings.headline
    if headline is not None:
        for tar in headline.tar:
            yield f"TARr@{tar.number} {_rate(tar.text)}   TARa@{tar.number} {_rate(tar.answer)}   ({headline.name})"
    if findings.prefix_changed:
        yield f"prefix cold and warm, asked alone, have the same text: {_rate(findings.prefix_changed)}"
    if findings.replicas_between and findings.replicas_within:
        yield (
            f"same text on one replica {_rate(findings.replicas_within)}, on two"
            f" {_rate(findings.replicas_between)}"
        )
    if findings.through is not None and findings.through.agreement is not None:
        sources = ", ".join(f"{name} {number}" for name, number in findings.through.sources)
        yield f"the gateway's own figures: agreement {findings.through.agreement:.2f}; answers from {sources}"


def _rate(rate: Rate | None) -> str:
    return "" if rate is None else f"{rate.value:.3f} [{rate.low:.2f} {rate.high:.2f}]"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as they need; the first to the left, figures to the right. Empty columns are left out."""
    kept = [at for at in range(len(head)) if not at or any(row[at] for row in rows)]
    cells = [[row[at] for at in kept] for row in (head, *rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(kept))]
    for number, row in enumerate(cells):
        first, *others = zip(row, widths, strict=True)
        yield "  ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]).rstrip()
        if not number:
            yield "  ".join("-" * width for width in widths)
