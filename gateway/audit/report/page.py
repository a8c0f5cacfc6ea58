"""The report as one HTML file that needs nothing else: no script, no font, no picture from anywhere."""

from collections.abc import Iterator
from html import escape
from importlib.resources import files
from string import Template

from gateway.audit.find.advice import Advice, cautions, check_passes
from gateway.audit.find.findings import Findings
from gateway.audit.report.charts import charts
from gateway.audit.report.examples import examples, prompts
from gateway.audit.report.tables import tables
from gateway.audit.spec import ALONE, APART, LANE, MIXED, TOGETHER

_NOTE = (
    "Copies sent together share a batch and agree with each other, not with tomorrow's copy. So they are never counted"
    " as independent here: what is called agreement, and what policies are judged by, comes from copies apart, and each"
    " interval (95&nbsp;%) takes the prompt for the unit."
)


def page(findings: Findings, advice: Advice, fail_under: float | None) -> str:
    """The whole file."""
    spec = findings.head.spec
    template = Template(files("gateway.audit.report").joinpath("page.html").read_text(encoding="utf-8"))
    body = "\n".join([
        *_headline(findings, fail_under),
        *_advice(findings, advice),
        "<h2>What was seen</h2>",
        f"<p>{_NOTE}</p>",
        '<div class="charts">',
        *charts(findings, advice),
        "</div>",
        *tables(findings, advice),
        *examples(findings.examples),
        *prompts(findings),
        *_how(findings),
    ])  # fmt: skip
    return template.substitute(title=escape(f"Determinism of {spec.model}"), body=body)


def _headline(findings: Findings, fail_under: float | None) -> Iterator[str]:
    head = findings.head
    yield f"<h1>Does {escape(head.spec.model)} answer the same twice?</h1>"
    yield f'<p class="quiet">{escape(", ".join(head.urls))} · {escape(head.engine)} · {escape(head.started)}</p>'
    rate = findings.headline.answer if findings.headline else None
    yield '<div class="headline">'
    if rate is None or findings.headline is None:
        yield "<span>No two copies apart were answered: there is no figure yet.</span>"
    else:
        yield f"<strong>{rate.value:.3f}</strong>"
        yield (
            f"<span>of pairs of copies, seconds apart and under load ({escape(findings.headline.name)}), have the same"
            f" answer.<br>95&nbsp;%: {rate.low:.3f} to {rate.high:.3f}, over {rate.prompts} prompts.</span>"
        )
    if fail_under is not None:
        passes = check_passes(findings.headline, fail_under)
        told = "passes" if passes else "fails"
        yield f'<span class="verdict {told}">{told} --fail-under {fail_under:g}</span>'
    yield "</div>"
    if notes := cautions(findings):
        yield '<div class="cautions" role="note"><ul>'
        yield from (f"<li>{escape(note)}</li>" for note in notes)
        yield "</ul></div>"


def _advice(findings: Findings, advice: Advice) -> Iterator[str]:
    yield f"<h2>What to do, for {advice.target:g}</h2>"
    yield "".join(f"<p>{escape(line)}</p>" for line in advice.said)
    yield f"<pre>{escape(advice.settings)}</pre>"
    if any(each.policy.spread == MIXED for each in advice.priced) and findings.headline:
        yield (
            '<p class="quiet">A pin makes one answer of a question for everybody, whatever the policy. The figures are'
            " of what would come without one: after it expires, or from another gateway.</p>"
        )


def _how(findings: Findings) -> Iterator[str]:
    spec = findings.head.spec
    salt = (
        "each copy apart has a prefix cache of its own, where the engine can"
        if spec.salted
        else "copies share prefix caches"
    )
    settings = f"temperature {spec.temperature:g}, seed {spec.seed}, at most {spec.max_tokens} tokens"
    levels = ", ".join(map(str, spec.concurrencies))
    yield "<h2>How it was asked</h2><ul>"
    kinds = {
        LANE: f"{spec.alone} copies of each on the reference lane, one request at a time.",
        ALONE: f"{spec.alone} copies of each, one request at a time.",
        TOGETHER: f"as many copies of one prompt at once as may be in flight ({levels}).",
        MIXED: f"{spec.rounds} rounds of {spec.round_size} copies at once, {spec.highest} requests in flight.",
        APART: f"{spec.copies} copies of each, one at a time, {spec.gap:g} s and more apart, in changing order.",
    }
    asked = {each.kind for each in findings.conditions}
    for line in (
        f"{len(spec.prompts)} prompts, {settings}; {salt}.",
        *(f"{kind}: {told}" for kind, told in kinds.items() if kind in asked),
        f"Answers are compared by `{spec.answer}`; one that cannot be read agrees with nothing.",
    ):
        yield f"<li>{escape(line)}</li>"
    yield "</ul>"
