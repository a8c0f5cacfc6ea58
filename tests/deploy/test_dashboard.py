"""The Grafana dashboard against the metrics' contract and a real Prometheus."""

import contextlib
import itertools
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.grafana import dashboard

# The metrics that the gateway promises, with the values that each label takes in these tests.
SHARED = {"model": ["m"], "policy": ["majority"]}
SOURCE = {"source": ["vote", "cache"]}
UPSTREAM = {"upstream": ["a", "b"]}
COUNTERS: dict[str, dict[str, list[str]]] = {
    "scg_requests_total": {"endpoint": ["chat"], **SHARED, **SOURCE, "status": ["200", "503"]},
    "scg_rounds_total": {**SHARED, "outcome": ["unanimous", "majority", "tie", "single"]},
    "scg_samples_total": {**SHARED, "fate": ["ballot", "spoiled", "abstained", "cancelled"]},
    "scg_samples_saved_total": SHARED,
    "scg_completion_tokens_total": {"kind": ["returned", "spent"]},
    "scg_pairs_total": {**SHARED, "spread": ["together", "apart"], "result": ["same", "different"]},
    "scg_cache_requests_total": {
        "result": ["hit_memory", "hit_redis", "miss", "joined", "bypass", "error"],
    },
    "scg_pins_total": {"result": ["won", "lost", "refused"]},
    "scg_upstream_requests_total": {**UPSTREAM, "result": ["ok", "timeout"]},
}
HISTOGRAMS: dict[str, dict[str, list[str]]] = {
    "scg_request_seconds": {"endpoint": ["chat"], **SOURCE},
    "scg_overhead_seconds": SOURCE,
    "scg_first_chunk_seconds": SOURCE,
    "scg_round_agreement": SHARED,
    "scg_round_distinct_answers": SHARED,
    "scg_round_distinct_texts": SHARED,
    "scg_divergence_characters": SHARED,
    "scg_margin": SHARED,
    "scg_upstream_seconds": UPSTREAM,
}
GAUGES: dict[str, dict[str, list[str]]] = {
    "scg_upstream_up": UPSTREAM,
    "scg_upstream_in_flight": UPSTREAM,
    "scg_upstream_queue": UPSTREAM,
    "scg_breaker_state": UPSTREAM,
    "scg_cache_up": {},
    "scg_in_flight_requests": {},
    "scg_build_info": {"version": ["0.1.0"]},
}

# What Grafana would put in place of the variables.
VARIABLES = {
    "$__rate_interval": "1m",
    "$__range": "15m",
    "$window": "5m",
    "$model": "m",
    "$policy": "majority",
}
NOW = int(time.time())
SCRAPES = range(NOW - 1200, NOW + 1, 15)

PANELS = [one for one in dashboard.dashboard()["panels"] if one["type"] != "row"]
QUERIES = {f"{one['title']}-{target['refId']}": target["expr"] for one in PANELS for target in one["targets"]}


def test_json_is_what_the_script_writes() -> None:
    """The committed JSON is up to date with deploy/grafana/dashboard.py."""
    assert dashboard.JSON_FILE.read_text(encoding="utf-8") == dashboard.as_json()


def test_panels_show_promised_metrics_only_and_all_of_them() -> None:
    """Every metric on the dashboard is in the contract, and every one in the contract is on the dashboard."""
    histograms = {f"{name}{part}" for name in HISTOGRAMS for part in ("_bucket", "_sum", "_count")}
    shown = set(re.findall(r"\bscg_\w+", " ".join(QUERIES.values())))
    assert shown <= {*COUNTERS, *GAUGES, *histograms}
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in shown} == {*COUNTERS, *GAUGES, *HISTOGRAMS}


def test_panels_fill_the_grid_without_overlap() -> None:
    """No two panels share a cell, none reaches over the edge, and ids are unique."""
    panels = dashboard.dashboard()["panels"]
    cells = [
        (one["gridPos"]["x"] + column, one["gridPos"]["y"] + line)
        for one in panels
        for column in range(one["gridPos"]["w"])
        for line in range(one["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(column for column, _ in cells) < dashboard.COLUMNS
    assert len({one["id"] for one in panels}) == len(panels)


def test_provisioning_and_dashboard_name_the_same_datasource() -> None:
    """The datasource that is provisioned has the uid that the panels ask for."""
    provisioned = Path("deploy/grafana/provisioning/datasources/prometheus.yaml").read_text(encoding="utf-8")
    assert f"uid: {dashboard.DATASOURCE['uid']} " in provisioned
    assert {one["datasource"]["uid"] for one in PANELS} == {dashboard.DATASOURCE["uid"]}


def series(name: str, labels: dict[str, list[str]]) -> Iterator[str]:
    """Every combination of label values, as Prometheus writes a series."""
    for values in itertools.product(*labels.values()):
        pairs = ",".join(f'{key}="{value}"' for key, value in zip(labels, values, strict=True))
        yield f"{name}{{{pairs}}}"


def growth(one: str) -> int:
    """How much a counter grows from scrape to scrape: three pairs are the same for each that is not."""
    return 3 if 'result="same"' in one else 1


def exposition() -> str:
    """Twenty minutes of every promised metric, as OpenMetrics with time stamps."""
    buckets = {"le": ["0.5", "1.0", "+Inf"]}
    lines: list[str] = []
    for metric, labels in COUNTERS.items():
        lines.append(f"# TYPE {metric.removesuffix('_total')} counter")
        lines += [
            f"{one} {n * growth(one)} {at}" for one in series(metric, labels) for n, at in enumerate(SCRAPES)
        ]
    for metric, labels in HISTOGRAMS.items():
        lines.append(f"# TYPE {metric} histogram")
        parts = [
            (f"{metric}_bucket", labels | buckets),
            (f"{metric}_sum", labels),
            (f"{metric}_count", labels),
        ]
        for name, labelled in parts:
            lines += [f"{one} {n} {at}" for one in series(name, labelled) for n, at in enumerate(SCRAPES)]
    for metric, labels in GAUGES.items():
        lines.append(f"# TYPE {metric} gauge")
        lines += [f"{one} 1 {at}" for one in series(metric, labels) for at in SCRAPES]
    return "\n".join([*lines, "# EOF", ""])


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def get(url: str) -> str:
    """The body of a 200; anything else raises."""
    with urllib.request.urlopen(url, timeout=5) as response:
        return str(response.read(), "utf-8")


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Poll until Prometheus takes queries."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            get(f"{url}/-/ready")
            return
        time.sleep(0.1)
    pytest.fail(f"prometheus did not get ready:\n{log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Prometheus that holds `exposition()`."""
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        pytest.skip("prometheus and promtool are not installed (Debian: apt-get install prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "metrics").write_text(exposition(), encoding="utf-8")
    (folder / "prometheus.yml").write_text("scrape_configs: []\n", encoding="utf-8")
    blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "metrics", "data"]
    subprocess.run(blocks, cwd=folder, check=True, capture_output=True)
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]
    log = folder / "log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            wait_until_ready(url, process, log)
            yield url
        finally:
            process.terminate()


def ask(prometheus: str, expr: str) -> list[dict[str, Any]]:
    """What Prometheus answers to a query after the last scrape, with Grafana's variables filled in."""
    for variable, value in VARIABLES.items():
        expr = expr.replace(variable, value)
    parameters = urllib.parse.urlencode({"query": expr, "time": NOW})
    answer = json.loads(get(f"{prometheus}/api/v1/query?{parameters}"))
    assert answer["status"] == "success"
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


@pytest.mark.processes
@pytest.mark.parametrize("expr", QUERIES.values(), ids=QUERIES)
def test_every_query_returns_data(prometheus: str, expr: str) -> None:
    """Prometheus parses the panel's query, and with every promised metric there it returns numbers."""
    values = [float(one["value"][1]) for one in ask(prometheus, expr)]
    assert values
    assert all(value >= 0 for value in values)


@pytest.mark.processes
def test_the_headline_is_the_share_of_same_pairs(prometheus: str) -> None:
    """Three same pairs for each different one, measured apart: the first panel says 0.75."""
    [headline] = ask(prometheus, PANELS[0]["targets"][0]["expr"])
    assert float(headline["value"][1]) == pytest.approx(0.75)


@pytest.mark.processes
def test_no_pair_gives_no_rate(prometheus: str) -> None:
    """Where no pair was measured the rate is absent, neither 0 nor NaN."""
    assert ask(prometheus, dashboard.consistency('spread="staggered"')) == []
