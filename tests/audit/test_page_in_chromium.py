"""The HTML report in a real browser: light, dark, and as wide as a phone."""

from collections.abc import Iterator
from shutil import which

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from gateway.audit.find.advice import advise
from gateway.audit.report.page import page
from gateway.audit.spec import ALONE, APART, KINDS, MIXED, TOGETHER
from tests.audit.hearing import findings, spec_of

pytestmark = pytest.mark.processes

NASTY = "<img src=http://127.0.0.1:9/x onerror=alert(1)> <script>document.title='owned'</script>" + "x" * 300
LONG = "a word " * 60
TEXTS = {
    ALONE: [["a"]] * 4,
    TOGETHER: [["a"]] * 4,
    MIXED: [["a", "a", "b"]] * 4,
    APART: [["a"], ["a", NASTY], [LONG, LONG + "b"], ["a", "b", "c"]],
}
# The least contrast of a chart's text with the page, by WCAG 2; axe leaves SVG alone.
CONTRAST = """() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = colour => parts(colour).slice(0, 3).map(v => linear(v / 255))
    .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
  const ground = light(getComputedStyle(document.body).backgroundColor);
  return Math.min(...[...document.querySelectorAll("svg text")].map(text => light(getComputedStyle(text).fill))
    .map(ink => (Math.max(ink, ground) + .05) / (Math.min(ink, ground) + .05)));
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report with all of its parts, as a file."""
    found = findings(spec_of(4, kinds=KINDS), TEXTS)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page(found, advise(found), 0.9), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser(report: str) -> Iterator[Browser]:
    """The system's Chromium. The report is made before: Playwright keeps a loop running."""
    found = which("chromium") or which("chromium-browser") or which("google-chrome")
    if found is None:
        pytest.skip("no chromium on this machine: `make test` installs one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


def show(browser: Browser, url: str, width: int, scheme: str) -> tuple[Page, list[str]]:
    """The page, and all that it asked for or complained of."""
    shown = browser.new_page(
        viewport={"width": width, "height": 800}, color_scheme="dark" if scheme == "dark" else "light"
    )
    noticed: list[str] = []
    shown.on("request", lambda request: noticed.append(request.url))
    shown.on("console", lambda message: noticed.append(message.text))
    shown.on("pageerror", lambda error: noticed.append(str(error)))
    shown.goto(url)
    return shown, noticed


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_it_fits_and_loads_nothing(width: int, scheme: str, report: str, browser: Browser) -> None:
    """Nothing but the file is loaded, nothing is run, and nothing is wider than the screen unless it scrolls."""
    shown, noticed = show(browser, report, width, scheme)
    assert [report] == noticed
    assert "Determinism of m" == shown.title()
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert 0 == shown.locator("img, script, link, iframe").count()
    for figure in shown.locator("svg").all():
        box = figure.bounding_box()
        assert box is not None
        assert box["width"] > 250
        assert box["x"] + box["width"] <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read(scheme: str, report: str, browser: Browser) -> None:
    """axe-core finds no fault: contrast, names, heads, landmarks; and the schemes are not the same."""
    shown, _ = show(browser, report, 1200, scheme)
    shown.locator("summary").click()
    found = Axe().run(shown)
    assert [] == [(each["id"], each["nodes"][0]["html"]) for each in found.response["violations"]]
    assert shown.evaluate(CONTRAST) >= 4.5
    ground = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ("rgb(255, 255, 255)" == ground) == (scheme == "light")


def test_it_can_be_heard(report: str, browser: Browser) -> None:
    """Charts have a name and figures in words, tables a caption and heads, and what scrolls takes the keyboard."""
    shown, _ = show(browser, report, 360, "light")
    charts = shown.get_by_role("img")
    assert [
        "Agreement by concurrency",
        "Pairs still the same, by characters",
        "TARr@N and TARa@N",
        "Reproducibility of each policy",
    ] == [each.locator("title").text_content() for each in charts.all()]
    assert all("0." in (each.locator("desc").text_content() or "") for each in charts.all())
    for table in shown.locator("table").all():
        assert table.locator("caption").text_content()
        assert table.locator("tbody th[scope=row]").count() == table.locator("tbody tr").count()
    assert shown.locator(".scroll").count() == shown.locator(".scroll[tabindex='0'][aria-label]").count() > 0
    assert "en" == shown.locator("html").get_attribute("lang")
    assert 1 == shown.locator("h1").count()


def test_it_says_what_was_found(report: str, browser: Browser) -> None:
    """The figure, the check that failed, the advice, and the examples with what differs marked."""
    shown, _ = show(browser, report, 1200, "light")
    assert "0.500" == shown.locator(".headline strong").text_content()
    assert shown.get_by_text("fails --fail-under 0.9").is_visible()
    assert shown.get_by_role("heading", name="What to do, for 0.99").is_visible()
    marked = [text.strip() for text in shown.locator("mark").all_text_contents()]
    assert any(text.startswith("<img src=") for text in marked)
    shown.locator("summary").press("Enter")
    assert shown.get_by_role("cell", name="question 3").is_visible()
