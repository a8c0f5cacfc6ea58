"""The page's tables."""

from collections.abc import Iterator, Sequence
from html import escape

from gateway.audit.find.advice import Advice, title
from gateway.audit.find.conditions import Condition
from gateway.audit.find.findings import Findings
from gateway.calling.bootstrap import Rate


def tables(findings: Findings, advice: Advice) -> Iterator[str]:
    """A table of the phases, one of the policies, and what else there is."""
    yield "<h2>Figures</h2>"
    yield from table(
        "How copies of a prompt agree, by how they were sent",
        (
            "sent",
            "answers",
            "same text",
            "same answer",
            "the next round's answer",
            "text as alone",
            "most texts",
            "seconds",
        ),
        [_condition(each) for each in findings.conditions if each.answers],
    )
    yield '<p class="quiet">* within one round, which shares a batch: no sign of what the next one will be.</p>'
    yield from table(
        "Two independent rounds of a policy come to the same",
        ("policy", "text", "answer", "samples", "on the reference lane", "cost"),
        [
            (
                escape(title(each.policy)),
                _rate(each.policy.text),
                _rate(each.policy.answer),
                f"{each.policy.samples:.2f}",
                f"{each.policy.reference:.2f}",
                "" if each.cost is None else f"{each.cost:.2f}",
            )
            for each in advice.priced
        ],
    )
    yield (
        '<p class="quiet">Cost is server time, one sample under load being 1: where c requests are in flight and take t'
        " seconds, one takes t / c. Policies with copies apart are tried on random halves of the copies heard.</p>"
    )
    if findings.headline and findings.headline.tar:
        yield from table(
            f"Total agreement, {findings.headline.name}",
            ("N", "TARr@N (texts)", "TARa@N (answers)"),
            [(str(tar.number), _rate(tar.text), _rate(tar.answer)) for tar in findings.headline.tar],
        )
    yield from _others(findings)


def _others(findings: Findings) -> Iterator[str]:
    others = [
        ("prefix cold, then warm, asked alone", findings.prefix_changed),
        ("prefix warm twice, asked alone", findings.prefix_warm),
        ("two copies on one replica", findings.replicas_within),
        ("copies on two replicas", findings.replicas_between),
    ]
    known = [(name, _rate(rate)) for name, rate in others if rate is not None]
    if known:
        yield from table("Prefix cache and replicas", ("pairs of copies", "same text"), known)
    through = findings.through
    if through is not None:
        told = [("answers from", _counted(through.sources)), ("outcomes", _counted(through.outcomes))]
        told += [] if through.agreement is None else [("agreement, mean", f"{through.agreement:.3f}")]
        told += [] if through.samples is None else [("samples per answer", f"{through.samples:.2f}")]
        yield from table("What the gateway in between says", ("", ""), told)


def _counted(counts: Sequence[tuple[str, int]]) -> str:
    return escape(", ".join(f"{name} {number}" for name, number in counts))


def _condition(each: Condition) -> Sequence[str]:
    star = "" if each.is_independent else " *"
    return (
        escape(each.name),
        str(each.answers),
        _rate(each.text) + star,
        _rate(each.answer) + star,
        _rate(each.next_answer),
        _rate(each.as_alone),
        str(each.most_texts),
        f"{each.seconds:.2f}",
    )


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return "-"
    return f'{rate.value:.3f} <span class="interval">{rate.low:.2f} to {rate.high:.2f}</span>'


def table(caption: str, head: Sequence[str], lines: Sequence[Sequence[str]], words: int = 0) -> Iterator[str]:
    """A table that scrolls by itself where the screen is narrow. The first `words` columns wrap."""
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
    yield f"<table><caption><span>{escape(caption)}</span></caption>"
    if any(head):
        yield "<thead><tr>" + "".join(f'<th scope="col">{name}</th>' for name in head) + "</tr></thead>"
    yield "<tbody>"
    for first, *others in lines:
        cells = "".join(
            f'<td class="words">{cell}</td>' if at < words else f"<td>{cell}</td>"
            for at, cell in enumerate(others)
        )
        yield f'<tr><th scope="row">{first}</th>{cells}</tr>'
    yield "</tbody></table></div>"
