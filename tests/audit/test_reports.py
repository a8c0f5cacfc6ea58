"""The report's forms say what was found, whatever is in the answers."""

import json
from xml.etree import ElementTree as ET

import pytest

from gateway.audit.find.advice import advise
from gateway.audit.report.as_json import as_json
from gateway.audit.report.console import report
from gateway.audit.report.junit import junit
from gateway.audit.report.page import page
from gateway.audit.spec import ALONE, APART, KINDS, MIXED, TOGETHER
from tests.audit.hearing import findings, head_of, spec_of

NASTY = "<script>alert(1)</script> & \x00\x1b[31m \ud800 $title ${body} </pre>"
SPEC = spec_of(3, kinds=KINDS)
TEXTS = {
    ALONE: [["a"]] * 3,
    TOGETHER: [["a"]] * 3,
    MIXED: [["a"]] * 3,
    APART: [["a"], ["a", NASTY], ["a", "b"]],
}


@pytest.mark.parametrize(
    ("fail_under", "failures"),
    [(None, 0), (0.5, 0), (0.6, 0), (0.7, 1)],
)
def test_junit(fail_under: float | None, failures: int) -> None:
    """One case can fail, by its bound; each condition and policy is a case that tells its figure."""
    found = findings(SPEC, TEXTS)
    suite = ET.fromstring(junit(found, advise(found), fail_under))
    cases = suite.findall("testcase")
    assert str(failures) == suite.get("failures")
    assert failures == len(suite.findall("testcase/failure"))
    assert str(len(cases)) == suite.get("tests")
    assert {"audit.check", "audit.conditions", "audit.policies"} == {case.get("classname") for case in cases}
    assert "0.600 (" in (cases[0].findtext("system-out") or "")


def test_junit_of_what_was_not_finished() -> None:
    """An audit without its answers is an error, not a pass."""
    found = findings(SPEC, TEXTS)
    from gateway.audit.find.findings import find

    suite = ET.fromstring(junit(find(head_of(SPEC), []), advise(found), None))
    assert "1" == suite.get("errors")


def test_json() -> None:
    """Every figure, the check and the notes; figures are numbers."""
    found = findings(SPEC, TEXTS)
    told = json.loads(as_json(found, advise(found), 0.7))
    assert pytest.approx(0.6) == told["headline"]["answer"]["value"]
    assert 3 == told["headline"]["answer"]["prompts"]
    assert {"fail_under": 0.7, "passes": False} == told["check"]
    assert told["complete"]
    assert ["alone", "together", "mixed", "apart"] == [each["kind"] for each in told["conditions"]]
    assert ["single", "majority", "strict", "majority", "serial"] == [
        each["name"] for each in told["policies"]
    ]
    assert 3 == told["head"]["spec"]["prompts"]


def test_the_terminal_has_no_answers_in_it() -> None:
    """What a model says cannot steer a terminal: the table has figures only."""
    found = findings(SPEC, TEXTS)
    told = report(found, advise(found))
    assert "\x1b" not in told
    assert "0.600 [" in told
    assert "Recommended: " in told
    assert all(line == line.rstrip() for line in told.splitlines())


def test_the_page_needs_nothing_else() -> None:
    """No script, and nothing is loaded from anywhere; what a model said is text."""
    found = findings(SPEC, TEXTS)
    made = page(found, advise(found), 0.7)
    assert "<script" not in made
    assert "src=" not in made
    assert "href=" not in made
    assert "url(" not in made
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in made
    assert "fails --fail-under 0.7" in made


@pytest.mark.parametrize("texts", [{}, {APART: [["a"]] * 3}])
def test_reports_of_little(texts: dict[str, list[list[str]]]) -> None:
    """An audit that was cut short has all of its reports."""
    from gateway.audit.find.findings import find
    from tests.audit.hearing import hear

    outcomes = hear(SPEC, TEXTS | texts)[:7] if texts else []
    found = find(head_of(SPEC), outcomes)
    advice = advise(found)
    assert "Not finished" in report(found, advice)
    assert "Not finished" in page(found, advice, 0.9)
    assert not json.loads(as_json(found, advice, 0.9))["check"]["passes"]
