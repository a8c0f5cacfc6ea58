"""The dashboard "Consistency", written by `make dashboard`: run it after a change and commit the JSON.

Panels stand in `rows/` in reading order; `promql` has the queries, `kinds` the panels' make-up. The classic schema is
built, which every Grafana since 11 reads; the newer one is a preview in the Grafana that docker-compose.yml runs.
"""

import json
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.kinds import DATASOURCE, Panel
from deploy.grafana.promql import STEP
from deploy.grafana.rows.consistency import CONSISTENCY
from deploy.grafana.rows.cost import CACHE_AND_COST
from deploy.grafana.rows.requests import REQUESTS, TENANTS
from deploy.grafana.rows.rounds import ROUNDS
from deploy.grafana.rows.upstreams import UPSTREAMS

JSON_FILE = Path(__file__).parent / "dashboards" / "consistency.json"

ROWS: dict[str, list[Panel]] = {
    "Consistency": CONSISTENCY,
    "Rounds": ROUNDS,
    "Cache and cost": CACHE_AND_COST,
    "Requests": REQUESTS,
    "Tenants": TENANTS,
    "Upstreams": UPSTREAMS,
}

# Metrics that no panel shows, and why not.
LEFT_OUT: dict[str, str] = {}


def dashboard() -> builders.Dashboard:
    """The whole."""
    whole = (
        builders.Dashboard("Consistency")
        .uid("scg-consistency")
        .description("How often a model gives the same answer to the same question.")
        .tags(["scg"])
        .editable()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .variables(_variables())
    )
    for annotation in _annotations():
        whole.annotation(annotation)
    number = 0
    for title, panels in ROWS.items():
        number += 1
        whole.with_row(builders.Row(title).id(number))
        for panel in panels:
            number += 1
            whole.with_panel(panel.id(number))
    return whole


def as_json() -> str:
    """The file's text."""
    return json.dumps(dashboard().build(), cls=JSONEncoder, indent=2) + "\n"


def _variables() -> list[Builder[VariableModel]]:
    chosen = [
        ("model", "scg_pairs_total"),
        ("policy", "scg_pairs_total"),
        ("tenant", "scg_tenant_requests_total"),
    ]
    return [_datasource(), *(_label(name, metric) for name, metric in chosen), _window()]


def _datasource() -> builders.DatasourceVariable:
    chosen = VariableOption(text="Prometheus", value="scg-prometheus", selected=True)
    return builders.DatasourceVariable("datasource").label("Data source").type("prometheus").current(chosen)


def _label(name: str, metric: str) -> builders.QueryVariable:
    """Narrows the panels to values of one label; all of them to begin with."""
    query = f"label_values({metric}, {name})"
    return (
        builders.QueryVariable(name)
        .label(name.capitalize())
        .datasource(DATASOURCE)
        .query({"query": query, "refId": "A"})
        .definition(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)  # models come and go
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
        .current(VariableOption(text=["All"], value=["$__all"], selected=True))
    )


def _window() -> builders.CustomVariable:
    """How long the rates are averaged: pairs apart are few, so short windows are empty."""
    chosen = VariableOption(text="15m", value="15m", selected=True)
    return builders.CustomVariable("window").label("Averaged over").values("5m,15m,1h,6h,1d").current(chosen)


def _annotations() -> list[builders.AnnotationQuery]:
    """Marks on every curve: what happened when the rate changed."""
    changes = f"sum by (model) (increase(scg_fingerprint_changes_total[{STEP}])) > 0"
    alerts = 'max by (alertname) (ALERTS{alertname=~"Scg.+",alertstate="firing",severity!="info"})'
    openings = f"sum by (upstream) (increase(scg_upstream_ejections_total[{STEP}])) > 0"
    return [
        _annotation(
            "Fingerprint changes", "purple", changes, "model", "something else is served as {{model}}"
        ),
        _annotation("Breaker openings", "orange", openings, "upstream", "the breaker of {{upstream}} opened"),
        _annotation("Alerts", "red", alerts, "alertname", "{{alertname}}: see docs/alerts.md"),
    ]


def _annotation(name: str, colour: str, expr: str, label: str, text: str) -> builders.AnnotationQuery:
    query = prometheus.Dataquery().ref_id("Anno").expr(expr).interval("15s").range()
    return (
        builders.AnnotationQuery()
        .name(name)
        .datasource(DATASOURCE)
        .enable(enable=True)
        .icon_color(colour)
        .target(query)
        .title_format(name)
        .text_format(text)
        .tag_keys(label)
    )


if __name__ == "__main__":
    JSON_FILE.write_text(as_json(), encoding="utf-8")
