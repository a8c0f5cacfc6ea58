"""Every query of dashboard and rules on a real Prometheus that scrapes a real gateway, before and under load.

Grafana's macros are filled in as Grafana does. Prometheus keeps what it saw, so that each query is a test of its own.
"""

import asyncio
import json
import math
import re
import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.grafana import dashboard
from gateway.core.interval import wilson
from tests.deploy.test_dashboard import PANELS, WHOLE
from tests.deploy.traffic import make_traffic, quiet_gateway
from tests.doubles import processes
from tests.doubles.processes import Running

pytestmark = pytest.mark.processes

RULE_FILES = [Path("deploy/prometheus/recording.yml"), Path("deploy/prometheus/alerts.yml")]
RULES = {
    rule.get("record") or rule["alert"]: rule["expr"]
    for file in RULE_FILES
    for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
QUERIES = {f"{panel['title']}-{part['refId']}": part["expr"] for panel in PANELS for part in panel["targets"]}
MARKS = {one["name"]: one["target"]["expr"] for one in WHOLE["annotations"]["list"]}
MACROS = {
    "$__rate_interval": "10m",
    "$__range": "1h",
    "$window": "15m",
    "$model": "m|other",
    "$policy": ".*",
    "$tenant": ".*",
}
_PARTS = re.compile(r"_(?:total|bucket|sum|count)$")
ENOUGH = 5  # scrapes of a gateway that does nothing


@dataclass
class Observed:
    """A Prometheus, and two moments: before any request, and when all had been counted and scraped."""

    prometheus: Running
    before: float
    after: float
    exported: set[str]  # names of the gateway's metrics

    def ask(self, expr: str, at: float | None = None) -> list[dict[str, Any]]:
        """What an instant query returns, under load unless it is said when."""
        for macro, value in MACROS.items():
            expr = expr.replace(macro, value)
        found: list[dict[str, Any]] = _get(
            self.prometheus, "query", query=expr, time=self.after if at is None else at
        )
        return found

    def values(self, expr: str, at: float | None = None) -> list[float]:
        return [float(one["value"][1]) for one in self.ask(expr, at)]

    def number(self, expr: str) -> float:
        (value,) = self.values(expr)
        return value


def _get(prometheus: Running, what: str, **parameters: object) -> Any:
    url = f"{prometheus.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=20) as answer:
        found = json.load(answer)["data"]
    return found["result"] if what == "query" else found


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """A gateway under load, seen by Prometheus with the rules of the stack."""
    if shutil.which("prometheus") is None:
        pytest.skip("no prometheus on this machine: `make test` installs one")
    with ExitStack() as stack:
        yield asyncio.run(_observe(tmp_path_factory.mktemp("prometheus"), stack))


async def _observe(folder: Path, stack: ExitStack) -> Observed:
    async with quiet_gateway() as (client, upstream):
        running = processes.prometheus(folder, client.url, RULE_FILES)
        prometheus = await asyncio.to_thread(stack.enter_context, running)
        await _seen(prometheus, f"count_over_time(scg_build_info[1h]) >= {ENOUGH}")
        before = time.time()
        for wave in (1, 2):  # what appears with its first count has grown by nothing yet
            await make_traffic(client, upstream, wave)
            families = list(text_string_to_metric_families((await client.get("/metrics")).text))
            for name in ("scg_requests_total", "scg_rechecks_total", "scg_fingerprint_changes_total"):
                await _seen(prometheus, f"sum({name}) == {_sum(families, name)}")
        await _seen(prometheus, 'model_policy_spread:scg_consistency:ratio_rate6h{spread="apart"}')
        exported = {family.name for family in families if family.name.startswith("scg_")}
        return Observed(prometheus, before, time.time(), exported)


async def _seen(prometheus: Running, expr: str) -> None:
    """Wait until a query returns something."""
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(_get, prometheus, "query", query=expr):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def _sum(families: list[Any], name: str) -> float:
    samples = (sample for family in families for sample in family.samples)
    return float(sum(sample.value for sample in samples if sample.name == name))


@pytest.mark.parametrize("expr", QUERIES.values(), ids=QUERIES)
def test_every_query_returns_numbers(observed: Observed, expr: str) -> None:
    """Prometheus parses the panel's query, and returns numbers for a gateway under load."""
    values = observed.values(expr)
    assert values
    assert all(math.isfinite(value) and value >= 0 for value in values)


@pytest.mark.parametrize("expr", QUERIES.values(), ids=QUERIES)
def test_nothing_yet_is_no_data(observed: Observed, expr: str) -> None:
    """Where nothing was counted there is no value at all or 0, and nothing divides by it."""
    assert all(math.isfinite(value) for value in observed.values(expr, observed.before))


@pytest.mark.parametrize("expr", MARKS.values(), ids=MARKS)
def test_every_mark_can_be_asked_for(observed: Observed, expr: str) -> None:
    """An annotation's query parses, and marks nothing before anything has happened."""
    assert [] == observed.values(expr, observed.before)


def test_a_fingerprint_change_is_marked(observed: Observed) -> None:
    """The model that was exchanged under load is named."""
    (mark,) = observed.ask(MARKS["Fingerprint changes"])
    assert {"model": "m"} == mark["metric"]


def test_a_breaker_that_opened_is_marked(observed: Observed) -> None:
    """The upstream that fails all the time is named, and the other one is not."""
    (mark,) = observed.ask(MARKS["Breaker openings"])
    assert {"upstream": "u1"} == mark["metric"]


def test_the_variables_have_values(observed: Observed) -> None:
    """Model, policy and tenant can be chosen from what the gateway exports."""
    asked = [one for one in WHOLE["templating"]["list"] if one["type"] == "query"]
    assert ["model", "policy", "tenant"] == [one["name"] for one in asked]
    for one in asked:
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", one["definition"]).groups()  # type: ignore[union-attr]
        assert _get(observed.prometheus, f"label/{label}/values", **{"match[]": metric})


def test_every_metric_is_shown(observed: Observed) -> None:
    """What the gateway exports is on some panel or left out for a stated reason; and panels ask for nothing else."""
    names = {name for expr in QUERIES.values() for name in re.findall(r"(?<![:\w])scg_\w+", expr)}
    shown = {_PARTS.sub("", name) for name in names}
    assert observed.exported - dashboard.LEFT_OUT.keys() == shown
    assert dashboard.LEFT_OUT.keys() <= observed.exported


@pytest.mark.parametrize("expr", RULES.values(), ids=RULES)
def test_rules_ask_for_what_is_there(observed: Observed, expr: str) -> None:
    """Every name in a rule is a metric of the gateway or a recorded one: none waits for what never comes."""
    recorded = set(re.findall(r"\w+:[\w:]+", expr))
    metrics = {_PARTS.sub("", name) for name in re.findall(r"(?<![:\w])scg_\w+", expr)}
    assert recorded <= RULES.keys()
    assert metrics <= observed.exported


def test_the_headline_is_the_rate_over_questions(observed: Observed) -> None:
    """The first panels say what the gateway's own summary says: rate, interval, questions."""
    low, high = (part["expr"] for part in PANELS[1]["targets"])
    rate, number = (observed.number(PANELS[at]["targets"][0]["expr"]) for at in (0, 2))
    assert 0 < rate < 1
    expected = wilson(rate, round(number))
    assert expected == pytest.approx((observed.number(low), observed.number(high)), abs=1e-4)
