#!/usr/bin/env python3
"""The dashboard "Consistency": run this file after a change and commit the JSON that it writes.

Panels are listed in `ROWS` in reading order, each with the question that it answers. Everything else turns
them into Grafana's JSON. The metrics are those of the gateway's /metrics.
"""

import json
from pathlib import Path
from typing import Any

JSON_FILE = Path(__file__).parent / "dashboards" / "consistency.json"
UID = "scg-consistency"
DATASOURCE = {"type": "prometheus", "uid": "scg-prometheus"}

COLUMNS = 24  # Grafana's grid
STEP = "$__rate_interval"  # as fine as the scrapes allow
WINDOW = "$window"  # the smoothing that the reader chose
RANGE = "$__range"  # everything in view
# Only metrics that carry these labels can be narrowed by the variables.
CHOSEN = ('model=~"$model"', 'policy=~"$policy"')
APART = 'spread="apart"'

Json = dict[str, Any]
Queries = dict[str, str]  # expressions by legend


# PromQL


def summed(function: str, metric: str, matchers: tuple[str, ...], by: str, over: str) -> str:
    """`function` of a counter within `over`, summed up to the labels in `by`."""
    selector = f"{{{','.join(matchers)}}}" if matchers else ""
    return f"sum{f' by ({by}) ' if by else ''}({function}({metric}{selector}[{over}]))"


def increase(metric: str, *matchers: str, by: str = "", over: str = STEP) -> str:
    """How much a counter grew."""
    return summed("increase", metric, matchers, by, over)


def rate(metric: str, *matchers: str, by: str = "", over: str = STEP) -> str:
    """How much a counter grew a second."""
    return summed("rate", metric, matchers, by, over)


def share(part: str, whole: str) -> str:
    """`part` of `whole`: 0 where there is a whole and no part, and nothing, rather than NaN, for no whole."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def consistency(*matchers: str, by: str = "", over: str = WINDOW) -> str:
    """The consistency rate: pairs with the same answer among all pairs."""
    same = increase("scg_pairs_total", *CHOSEN, *matchers, 'result="same"', by=by, over=over)
    return share(same, increase("scg_pairs_total", *CHOSEN, *matchers, by=by, over=over))


def mean(histogram: str, *matchers: str, by: str = "", over: str = WINDOW) -> str:
    """The mean of what a histogram observed."""
    total = rate(f"{histogram}_sum", *matchers, by=by, over=over)
    return f"{total} / ({rate(f'{histogram}_count', *matchers, by=by, over=over)} > 0)"


def quantile(q: float, histogram: str, *matchers: str, by: str = "", over: str = WINDOW) -> str:
    """A quantile of what a histogram observed."""
    buckets = rate(f"{histogram}_bucket", *matchers, by=f"le, {by}" if by else "le", over=over)
    return f"histogram_quantile({q}, {buckets})"


def quantiles(histogram: str, *matchers: str, by: str = "", at: tuple[float, ...] = (0.5, 0.99)) -> Queries:
    """Several quantiles of one histogram, each labelled p50 and so on."""
    legends = {q: f"p{100 * q:.0f} {labels(by)}".strip() for q in at}
    return {legend: quantile(q, histogram, *matchers, by=by) for q, legend in legends.items()}


def labels(by: str) -> str:
    """The legend that names a curve by these labels."""
    return " ".join(f"{{{{{name}}}}}" for name in by.split(", ") if name)


# Panels


def panel(kind: str, title: str, about: str, targets: list[Json], **more: Any) -> Json:
    """What all panels have in common; `width` and `height` are grid units, what is left goes to `options`."""
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": DATASOURCE,
        "targets": targets,
        "gridPos": {"w": more.pop("width", 8), "h": more.pop("height", 8)},
        "fieldConfig": {"defaults": more.pop("field", {}), "overrides": []},
        "options": more,
    }


def curves(queries: Queries) -> list[Json]:
    """Queries over the whole time in view."""
    return [
        {"refId": chr(ord("A") + index), "legendFormat": legend, "expr": expr, "range": True}
        for index, (legend, expr) in enumerate(queries.items())
    ]


def stat(title: str, about: str, expr: str, unit: str = "percentunit", **more: Any) -> Json:
    """One number over all that is in view; `steps` colours it from each value on, None being the base."""
    steps = [{"value": value, "color": color} for value, color in more.pop("steps", [(None, "text")])]
    field = {
        "unit": unit,
        "decimals": more.pop("decimals"),
        "noValue": "none yet",
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    once = [{"refId": "A", "expr": expr, "instant": True, "range": False}]
    shown = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"}
    return panel("stat", title, about, once, field=field, height=6, **shown, **more)


def lines(title: str, about: str, queries: Queries, unit: str = "short", **more: Any) -> Json:
    """Curves over time; `stack` piles them up, as "normal" or as "percent" of the whole."""
    stack = more.pop("stack", "none")
    custom = {"stacking": {"mode": stack}, "fillOpacity": 0 if stack == "none" else 60}
    field = {"unit": unit, "min": 0, "custom": custom}
    if unit == "percentunit":
        field["max"] = 1
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
    shown = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, about, curves(queries), field=field, **shown, **more)


def rates_by(
    by: str, title: str, about: str, metric: str, *matchers: str, unit: str = "ops", **more: Any
) -> Json:
    """A counter's rate, stacked by the values of one or more labels."""
    queries = {labels(by): rate(metric, *matchers, by=by)}
    return lines(title, about, queries, unit, stack=more.pop("stack", "normal"), **more)


def heatmap(title: str, about: str, histogram: str, *matchers: str) -> Json:
    """A histogram's buckets over time."""
    queries = {"{{le}}": increase(f"{histogram}_bucket", *matchers, by="le")}
    buckets = [query | {"format": "heatmap"} for query in curves(queries)]
    return panel("heatmap", title, about, buckets, calculate=False, yAxis={"unit": "percentunit"})


def states(title: str, about: str, queries: Queries, names: dict[int, tuple[str, str]]) -> Json:
    """A band for each thing over time, coloured by state; `names` maps values to text and colour."""
    values = {str(value): {"text": text, "color": color} for value, (text, color) in names.items()}
    field = {"mappings": [{"type": "value", "options": values}]}
    return panel("state-timeline", title, about, curves(queries), field=field)


CONSISTENCY: list[Json] = [
    stat(
        "Asked again later, the same answer",
        "The consistency rate: of all pairs of answers to one question that were made seconds or more apart, "
        "the share that agree. Copies sent together share a batch and say little, so they are left out here.",
        consistency(APART, over=RANGE),
        steps=[(None, "red"), (0.95, "orange"), (0.99, "green")],
        width=6, decimals=1,
    ),
    stat(
        "Pairs measured apart",
        "How many pairs the headline rests on. They come from `measure` and `recheck`.",
        increase("scg_pairs_total", *CHOSEN, APART, over=RANGE),
        "short", width=4, decimals=0,
    ),
    stat(
        "Rounds without a clear winner",
        "Ties, mere pluralities and rounds with too few ballots, among rounds of more than one sample.",
        share(
            increase("scg_rounds_total", *CHOSEN, 'outcome=~"plurality|tie|no_quorum"', over=RANGE),
            increase("scg_rounds_total", *CHOSEN, 'outcome!="single"', over=RANGE),
        ),
        width=5, decimals=1,
    ),
    stat(
        "Answered without a round",
        "Cache hits and requests that joined a round under way, among all that may be cached.",
        share(
            increase("scg_cache_requests_total", 'result=~"hit_memory|hit_redis|joined"', over=RANGE),
            increase("scg_cache_requests_total", 'result!="bypass"', over=RANGE),
        ),
        width=5, decimals=1,
    ),
    stat(
        "Tokens spent for each returned",
        "What voting costs: completion tokens of all samples, divided by those that clients received.",
        increase("scg_completion_tokens_total", 'kind="spent"', over=RANGE)
        + " / ("
        + increase("scg_completion_tokens_total", 'kind="returned"', over=RANGE)
        + " > 0)",
        "short", width=4, decimals=2,
    ),
    lines(
        "Consistency by spread",
        "The same rate for copies sent together, staggered and apart. A gap between the curves is what "
        "agreement within one batch hides.",
        {"{{spread}}": consistency(by="spread")},
        "percentunit",
    ),
    lines(
        "Consistency by model, apart",
        "The headline for each model.",
        {"{{model}}": consistency(APART, by="model")},
        "percentunit",
    ),
    lines(
        "Consistency by policy, apart",
        "The headline for each policy: what a vote buys over a single sample.",
        {"{{policy}}": consistency(APART, by="policy")},
        "percentunit",
    ),
]  # fmt: skip

ROUNDS: list[Json] = [
    heatmap(
        "Agreement within a round",
        "The winner's votes among all votes cast: how many rounds fell into which bucket.",
        "scg_round_agreement", *CHOSEN,
    ),
    lines(
        "Mean agreement",
        "The mean of the same, for each model and policy.",
        {"{{model}} {{policy}}": mean("scg_round_agreement", *CHOSEN, by="model, policy")},
        "percentunit",
    ),
    rates_by(
        "outcome",
        "Outcomes",
        "Rounds a second by how they ended.",
        "scg_rounds_total", *CHOSEN,
    ),
    lines(
        "Distinct answers and texts in a round",
        "The mean number of different answers, and of different texts before answers are extracted.",
        {
            "answers": mean("scg_round_distinct_answers", *CHOSEN),
            "texts": mean("scg_round_distinct_texts", *CHOSEN),
        },
    ),
    lines(
        "Where texts part",
        "Characters that two differing texts share before their first difference.",
        quantiles("scg_divergence_characters", *CHOSEN, at=(0.1, 0.5, 0.9)),
    ),
    lines(
        "Margin",
        "Smallest gap between the log probabilities of a sample's best two tokens: where it is near 0, the last "
        "bits of a logit decide.",
        quantiles("scg_margin", *CHOSEN, at=(0.1, 0.5)),
    ),
    rates_by(
        "fate",
        "Samples by fate",
        "Ballot: voted. Spoiled: no answer in it. Abstained: failed or too late. Cancelled: not needed.",
        "scg_samples_total", *CHOSEN, width=12,
    ),
    lines(
        "Samples saved",
        "Samples of the full k that were not cast, because the outcome was certain without them.",
        {
            "saved": rate("scg_samples_saved_total", *CHOSEN),
            "cast": rate("scg_samples_total", *CHOSEN, 'fate=~"ballot|spoiled"'),
        },
        "ops", stack="percent", width=12,
    ),
]  # fmt: skip

CACHE_AND_COST: list[Json] = [
    rates_by(
        "result",
        "Cache results",
        "Where answers came from, as shares of all lookups.",
        "scg_cache_requests_total", stack="percent",
    ),
    rates_by(
        "result",
        "Pins",
        "Won: this process pinned first. Lost: another had, and its answer was returned. "
        "Refused: the quality gate said no.",
        "scg_pins_total",
    ),
    lines(
        "Completion tokens",
        "Spent: generated by all samples. Returned: received by clients, from the cache as well.",
        {"{{kind}} a second": rate("scg_completion_tokens_total", by="kind")},
    ),
]  # fmt: skip

REQUESTS: list[Json] = [
    rates_by(
        "status",
        "Requests by status",
        "HTTP status of what clients received.",
        "scg_requests_total", *CHOSEN, unit="reqps",
    ),
    rates_by(
        "source",
        "Requests by source",
        "Vote, cache, joined, reference, single or passed through.",
        "scg_requests_total", *CHOSEN, unit="reqps",
    ),
    rates_by(
        "endpoint",
        "Requests by endpoint",
        "Which of the endpoints clients use.",
        "scg_requests_total", *CHOSEN, unit="reqps",
    ),
    lines(
        "Time to answer",
        "From the request's arrival to the response's last byte, by source.",
        quantiles("scg_request_seconds", by="source"), "s",
    ),
    lines(
        "Time to the first chunk",
        "The same to the first chunk of a stream.",
        quantiles("scg_first_chunk_seconds", by="source"), "s",
    ),
    lines(
        "Overhead",
        "Time that the gateway itself took: not spent waiting for an upstream.",
        quantiles("scg_overhead_seconds"), "s",
    ),
]  # fmt: skip

UPSTREAMS: list[Json] = [
    states(
        "Upstreams up",
        "As the gateway sees them; the worst of its processes counts.",
        {"{{upstream}}": "min by (upstream) (scg_upstream_up)"},
        {1: ("up", "green"), 0: ("down", "red")},
    ),
    states(
        "Circuit breakers",
        "An open breaker keeps requests away until a trial succeeds.",
        {"{{upstream}}": "max by (upstream) (scg_breaker_state)"},
        {0: ("closed", "green"), 1: ("open", "red")},
    ),
    states(
        "Redis",
        "Away: requests go on, and verdicts are pinned in each process's memory only.",
        {"": "min(scg_cache_up)"},
        {1: ("answers", "green"), 0: ("away", "red")},
    ),
    rates_by(
        "upstream, result",
        "Upstream requests by result",
        "How the samples' requests ended, over all upstreams.",
        "scg_upstream_requests_total", unit="reqps",
    ),
    lines(
        "Upstream seconds",
        "How long one sample takes.",
        quantiles("scg_upstream_seconds", by="upstream"), "s",
    ),
    lines(
        "In flight",
        "Samples under way at each upstream, and clients' requests in the gateway.",
        {
            "{{upstream}}": "sum by (upstream) (scg_upstream_in_flight)",
            "requests": "sum(scg_in_flight_requests)",
        },
    ),
    lines(
        "Waiting for an upstream",
        "Samples queued because their upstream has as many as it may.",
        {"{{upstream}}": "sum by (upstream) (scg_upstream_queue)"},
    ),
    lines(
        "Gateway processes",
        "By version, so that a rollout can be seen.",
        {"{{version}}": "count by (version) (scg_build_info)"},
        width=24, height=5,
    ),
]  # fmt: skip

ROWS = {
    "Consistency": CONSISTENCY,
    "Rounds": ROUNDS,
    "Cache and cost": CACHE_AND_COST,
    "Requests": REQUESTS,
    "Upstreams": UPSTREAMS,
}


# The dashboard


def laid_out(rows: dict[str, list[Json]]) -> list[Json]:
    """Panels with their place in the grid, each row under its heading, and numbered."""
    placed: list[Json] = []
    top = 0
    for title, panels in rows.items():
        heading = {"w": COLUMNS, "h": 1, "x": 0, "y": top}
        placed.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": heading})
        placed += side_by_side(panels, top + 1)
        top = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in placed)
    return [{"id": number} | one for number, one in enumerate(placed, start=1)]


def side_by_side(panels: list[Json], top: int) -> list[Json]:
    """Panels from left to right, going on below where a line is full."""
    placed: list[Json] = []
    left = height = 0
    for one in panels:
        size = one["gridPos"]
        if left + size["w"] > COLUMNS:
            left, top, height = 0, top + height, 0
        placed.append(one | {"gridPos": size | {"x": left, "y": top}})
        left, height = left + size["w"], max(height, size["h"])
    return placed


def label_variable(name: str) -> Json:
    """A variable that narrows the panels to values of one label; all of them to begin with."""
    return {
        "type": "query",
        "name": name,
        "label": name.capitalize(),
        "datasource": DATASOURCE,
        "query": {"query": f"label_values(scg_requests_total, {name})", "refId": "A"},
        "refresh": 2,  # whenever the time range changes: models come and go
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def window_variable() -> Json:
    """How long the rates are averaged: pairs measured apart are few, so short windows are empty."""
    return {
        "type": "custom",
        "name": "window",
        "label": "Averaged over",
        "query": "1m,5m,15m,1h,6h,1d",
        "current": {"text": "5m", "value": "5m"},
    }


def dashboard() -> Json:
    """The whole, as Grafana's provisioning reads it."""
    return {
        "uid": UID,
        "title": "Consistency",
        "description": "How often a model gives the same answer to the same question.",
        "tags": ["scg"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,  # one crosshair in all panels
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [label_variable("model"), label_variable("policy"), window_variable()]},
        "panels": laid_out(ROWS),
    }


def as_json() -> str:
    """The file's text."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    JSON_FILE.write_text(as_json(), encoding="utf-8")
