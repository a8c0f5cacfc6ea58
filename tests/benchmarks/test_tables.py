from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import page, results, tables
from benchmarks.chart import chart, draw
from benchmarks.goals import GOALS
from tests.benchmarks.runs import made, streamed


def test_a_goal_is_passed_missed_or_not_measured() -> None:
    table = tables.goal_table(made({"hit": [40], "floor-cache": [100], "k3": [300], "single": [100]}))
    verdicts = {
        line.split("|")[1].strip(): line.split("|")[-2].strip() for line in table.splitlines() if "|" in line
    }
    assert "passed" == verdicts["hit in memory / shortest aiohttp + Redis GET, CPU"]
    assert "**missed**" == verdicts["k=3 agreeing / k=1, CPU"]
    assert "not measured" == verdicts["pass-through / vllm-router, CPU"]
    assert f"3 passed, 1 missed, {len(GOALS) - 4} not measured." == table.splitlines()[-1]


def test_a_row_has_medians_and_says_how_far_turns_lie_apart() -> None:
    row = tables.load_table(made({"hit": [40, 50, 42]})).splitlines()[-1]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert ["hit", "32", "1,000", "1.00", "2.50", "42", "24%", "50", "", "0", "1%"] == cells


def test_columns_line_up() -> None:
    lines = tables.load_table(made({"hit": [40], "floor-cache": [12345]})).splitlines()
    assert 1 == len({len(line) for line in lines})


def test_streams_that_never_came_have_no_times() -> None:
    found = made({})
    found.streams = [streamed("direct"), streamed("gateway", chunks=0, failed=50)]
    row = tables.stream_table(found).splitlines()[-1]
    assert ["gateway", "50", "", "", "", "", "0", "0", "0", "50"] == [
        cell.strip() for cell in row.strip("|").split("|")
    ]


def test_the_chart_is_one_bar_per_measured_subject_and_escapes_titles() -> None:
    found = made({"hit": [40], "rolter-cache": [50], "k3": [400]})
    found.titles["hit"] = "hit <memory> & more"
    picture = ET.fromstring(chart(found))
    texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert "hit <memory> & more" in texts
    assert 1 + 3 == len(list(picture.iter("{http://www.w3.org/2000/svg}rect")))


def test_bars_stay_on_the_axis_whatever_they_show() -> None:
    picture = ET.fromstring(draw([("all", [("a", 0.2, True), ("b", 99_999.0, False)])]))
    bars = list(picture.iter("{http://www.w3.org/2000/svg}rect"))[1:]
    assert all(float(bar.get("x", 0)) + float(bar.get("width", 0)) <= 760 for bar in bars)
    assert "" == draw([])


def test_a_run_is_kept_with_its_tables_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    found = made({"hit": [40, 41], "floor-cache": [100, 99]})
    found.streams = [streamed("direct"), streamed("gateway")]
    path = page.keep(found)
    assert found == results.read(path)
    assert ["2026-01-02-full.json", "2026-01-02-full.md", "2026-01-02-full.svg"] == sorted(
        each.name for each in tmp_path.iterdir()
    )


def test_only_whole_runs_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    (tmp_path / "2026-01-03-chaos.json").write_text('{"date": "2026-01-03", "memory": [1]}')  # another's
    assert results.latest() is None
    for name, date in (("full", "2026-01-02T01"), ("quick", "2026-01-02T03"), ("h100", "2026-01-02T02")):
        found = made({})
        found.name, found.date = name, date
        results.write(found)
    latest = results.latest()
    assert latest is not None
    assert "2026-01-02-h100.json" == latest.name


def test_the_page_says_machine_command_and_versions() -> None:
    text = page.page(made({"hit": [40]}), "2026-01-02-full")
    assert "- P, 2 cores, 8 GiB, Linux" in text
    assert "`make bench`" in text
    assert "python 3.11" in text
    assert "](../benchmarks/results/2026-01-02-full.svg)" in text


def test_the_page_without_a_run_says_so() -> None:
    assert "No full run is kept yet." in page.page(None, "")
