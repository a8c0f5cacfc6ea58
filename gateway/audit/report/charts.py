"""The page's charts: which figures they show."""

from collections.abc import Iterator
from html import escape

from gateway.audit.find.advice import Advice, title
from gateway.audit.find.findings import Findings
from gateway.audit.report.plots import Series, chart, rates, rows
from gateway.audit.spec import ALONE, APART, MIXED, TOGETHER
from gateway.calling.bootstrap import Rate


def charts(findings: Findings, advice: Advice) -> Iterator[str]:
    """A figure each."""
    levels = findings.head.spec.concurrencies
    places = {level: (at + 0.5) / len(levels) for at, level in enumerate(levels)}

    def of(kind: str) -> list[tuple[float, Rate | None]]:
        return [
            (places[each.concurrency], each.text)
            for each in findings.conditions
            if each.kind == kind and each.concurrency in places
        ]

    mixed = [
        (places[each.concurrency] + 0.07, each.next_text)
        for each in findings.conditions
        if each.kind == MIXED
    ]
    series = [
        rates("copies apart: the same text", [*of(ALONE), *of(APART)]),
        rates("copies together, within one batch", [(x + 0.03, each) for x, each in of(TOGETHER)]),
        rates("together, one round and the next", mixed, joined=False),
    ]
    ticks = [(places[level], str(level)) for level in levels]
    yield _figure(
        "Agreement by concurrency",
        chart("by-concurrency", "Agreement by concurrency", series, ticks, "requests in flight"),
    )
    yield from _curve(findings)
    yield from _tar(findings)
    if advice.priced:
        labels = [title(each.policy) for each in advice.priced]
        found = [
            rates(label, [(float(at), getattr(each.policy, name)) for at, each in enumerate(advice.priced)])
            for label, name in (("the same answer", "answer"), ("the same text", "text"))
        ]
        yield _figure(
            "Asked again, the same under each policy",
            rows("policies", "Reproducibility of each policy", labels, found),
        )


def _curve(findings: Findings) -> Iterator[str]:
    if not findings.curve:
        yield "<figure><figcaption>Where texts part</figcaption><p>No two copies apart differ anywhere.</p></figure>"
        return
    last = findings.curve[-1][0] or 1
    points = tuple((at / last, share, share, share) for at, share in findings.curve)
    series = Series("pairs of copies apart that are still the same", points, markers=False)
    ticks = [(at / 4, str(round(last * at / 4))) for at in range(5)]
    yield _figure(
        "Where texts part",
        chart("curve", "Pairs still the same, by characters", [series], ticks, "characters"),
    )


def _tar(findings: Findings) -> Iterator[str]:
    tars = findings.headline.tar if findings.headline else ()
    if not tars:
        return
    places = [(at + 0.5) / len(tars) for at in range(len(tars))]
    series = [
        rates(
            "TARa@N: N answers all the same", [(x, tar.answer) for x, tar in zip(places, tars, strict=True)]
        ),
        rates(
            "TARr@N: N texts all the same",
            [(x + 0.02, tar.text) for x, tar in zip(places, tars, strict=True)],
        ),
    ]
    ticks = [(x, str(tar.number)) for x, tar in zip(places, tars, strict=True)]
    yield _figure("N copies apart, all the same", chart("tar", "TARr@N and TARa@N", series, ticks, "N"))


def _figure(caption: str, svg: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{svg}</figure>"
