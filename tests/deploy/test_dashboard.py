"""The Grafana dashboard: what Grafana asks of one, and that it is written by `make dashboard`."""

import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana import dashboard

WHOLE: dict[str, Any] = json.loads(dashboard.JSON_FILE.read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in WHOLE["panels"] if panel["type"] != "row"]
each_panel = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])


def test_json_is_what_the_builders_write() -> None:
    """The committed JSON is up to date: `make dashboard` would change nothing."""
    assert dashboard.as_json() == dashboard.JSON_FILE.read_text(encoding="utf-8")


def test_panels_fill_the_grid_without_overlap() -> None:
    """No two panels share a cell, and none reaches over the edge of 24 columns."""
    cells = [
        (place["x"] + column, place["y"] + line)
        for place in (panel["gridPos"] for panel in WHOLE["panels"])
        for column, line in product(range(place["w"]), range(place["h"]))
    ]
    assert len(cells) == len(set(cells))
    assert 23 == max(column for column, _ in cells)


def test_numbers_and_titles_are_unique() -> None:
    """Every panel and row has a number and a title of its own."""
    for name in ("id", "title"):
        values = [panel[name] for panel in WHOLE["panels"]]
        assert sorted(set(values)) == sorted(values)


@each_panel
def test_a_panel_is_complete(panel: dict[str, Any]) -> None:
    """It says what its values mean, asks the chosen data source, and tells its queries apart."""
    assert len(panel["description"]) > 60
    targets = panel["targets"]
    sources = [part["datasource"] for part in (panel, *targets)]
    assert [{"type": "prometheus", "uid": "${datasource}"}] * len(sources) == sources
    assert len(targets) == len({target["refId"] for target in targets})
    assert all(target["instant"] != target["range"] for target in targets)


@each_panel
def test_variables_exist(panel: dict[str, Any]) -> None:
    """A panel uses no variable but those that are chosen above it, and Grafana's own."""
    known = {variable["name"] for variable in WHOLE["templating"]["list"]}
    known |= {"__rate_interval", "__range"}
    for target in panel["targets"]:
        used = {word.split("]")[0].split('"')[0] for word in target["expr"].split("$")[1:]}
        assert used <= known


def test_the_headline_comes_first_and_the_upper_bound_says_so() -> None:
    """The first panel is the rate apart, then its interval and its questions; copies together are labelled."""
    headline, interval, questions, together = PANELS[:4]
    asked = [part["expr"] for panel in (headline, interval, questions) for part in panel["targets"]]
    assert all(set(re.findall(r'spread="(\w+)"', expr)) == {"apart"} for expr in asked)
    assert ["at least", "at most"] == [target["legendFormat"] for target in interval["targets"]]
    assert "upper bound" in together["title"]


def test_provisioning_and_dashboard_agree() -> None:
    """The data source that is provisioned is the one that is chosen at first, and knows the scrape interval."""
    folder = Path("deploy/grafana/provisioning/datasources/prometheus.yaml")
    (source,) = yaml.safe_load(folder.read_text(encoding="utf-8"))["datasources"]
    chosen = next(one for one in WHOLE["templating"]["list"] if one["name"] == "datasource")
    scraping = yaml.safe_load(Path("deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    assert (source["uid"], source["type"]) == (chosen["current"]["value"], chosen["query"])
    assert source["jsonData"]["timeInterval"] == scraping["global"]["scrape_interval"]
