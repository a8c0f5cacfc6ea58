"""The report for CI, as JUnit's XML: the check, and each figure as a case that never fails."""

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from gateway.audit.find.advice import Advice, cautions, check_passes, spelled, title
from gateway.audit.find.findings import Findings


def junit(findings: Findings, advice: Advice, fail_under: float | None) -> str:
    """A suite. Its first case fails where the answers agree less than they should, and errs where nobody can say."""
    head = findings.head
    suite = Element("testsuite", name=f"scg audit {head.spec.model}", timestamp=head.started)
    properties = SubElement(suite, "properties")
    for name, value in (
        ("urls", " ".join(head.urls)),
        ("engine", head.engine),
        ("answers", str(findings.heard)),
    ):
        SubElement(properties, "property", name=name, value=_xml(value))
    _check(suite, findings, fail_under)
    for each in findings.conditions:
        if each.answer is not None and each.text is not None:
            told = f"same answer {spelled(each.answer)}, same text {spelled(each.text)}"
            _case(suite, "conditions", each.name, told)
    for priced in advice.priced:
        told = f"the same when asked again: {spelled(priced.policy.answer)}"
        _case(suite, "policies", title(priced.policy), told)
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for kind in ("failure", "error"):
        suite.set(f"{kind}s", str(sum(case.find(kind) is not None for case in cases)))
    indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(suite, encoding="unicode") + "\n"


def _check(suite: Element, findings: Findings, fail_under: float | None) -> None:
    headline = findings.headline.answer if findings.headline else None
    told = "\n".join([spelled(headline) if headline else "no figure", *cautions(findings)])
    bound = "" if fail_under is None else f" at least {fail_under:g} of the time"
    case = _case(suite, "check", f"two copies apart have the same answer{bound}", told)
    if headline is None or not findings.is_complete:
        message = f"{findings.heard} of {findings.planned} answers are there"
        SubElement(case, "error", message=message)
    elif fail_under is not None and not check_passes(findings.headline, fail_under):
        SubElement(case, "failure", message=f"{headline.value:.4f} is below {fail_under:g}")


def _case(suite: Element, group: str, name: str, told: str) -> Element:
    case = SubElement(suite, "testcase", classname=f"audit.{group}", name=name)
    SubElement(case, "system-out").text = _xml(told)
    return case


def _xml(text: str) -> str:
    """Without the characters that XML 1.0 has no way to write."""
    return "".join(
        letter if letter in "\t\n\r" or " " <= letter <= "\ud7ff" or letter >= "\ue000" else "\ufffd"
        for letter in text
    )
