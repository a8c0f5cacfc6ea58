"""Whether the parts behind the gateway are well."""

from deploy.grafana.kinds import Panel, lines, quantiles, rates_by, states
from deploy.grafana.promql import STEP, gauge, rate, share

UPSTREAMS: list[Panel] = [
    states(
        "Upstreams up",
        "As the gateway sees them; the worst of its processes counts. Down: rounds go on with the others; with none "
        "left only pinned answers are served.",
        {"{{upstream}}": gauge("scg_upstream_up", by="upstream", how="min")},
        {1: ("up", "green"), 0: ("down", "red")},
    ),
    states(
        "Circuit breakers",
        "An open breaker keeps requests away from an upstream that fails; half-open: one is tried. It closes by "
        "itself.",
        {"{{upstream}}": gauge("scg_breaker_state", by="upstream", how="max")},
        {0: ("closed", "green"), 1: ("open", "red"), 2: ("half-open", "orange")},
    ),
    states(
        "Redis",
        "Away: requests go on, and verdicts are pinned in each process's memory only, so that two processes may give "
        "different answers until it is back.",
        {"store": gauge("scg_cache_up", how="min")},
        {1: ("answers", "green"), 0: ("away", "red")},
    ),
    rates_by(
        "upstream, result",
        "Calls by result",
        "How the calls to each upstream ended. cancelled is normal: samples that were not needed any more.",
        "scg_upstream_requests_total", unit="reqps",
    ),
    lines(
        "Calls that failed",
        "The share of each upstream's calls that brought no answer, cancelled ones left out.",
        {
            "{{upstream}}": share(
                rate("scg_upstream_requests_total", 'result!~"ok|cancelled"', by="upstream", over=STEP),
                rate("scg_upstream_requests_total", 'result!="cancelled"', by="upstream", over=STEP),
            )
        },
        unit="percentunit",
    ),
    lines(
        "Seconds a call",
        "How long one sample takes at each upstream. A p99 far above the median delays every vote that waits for it.",
        quantiles("scg_upstream_seconds", by="upstream"),
        unit="s",
    ),
    rates_by(
        "upstream",
        "Ejections",
        "How often each upstream's breaker opened. Again and again: it fails, is tried, and fails; look at its log.",
        "scg_upstream_ejections_total",
    ),
    lines(
        "Calls made once more",
        "By whom they failed at and why, and the retries that the budget refused. Many refused: most of the calls "
        "fail, and more would only add load.",
        {
            "{{upstream}} {{reason}}": rate("scg_upstream_retries_total", by="upstream, reason"),
            "refused by the budget": rate("scg_retries_refused_total"),
        },
        unit="ops",
    ),
    rates_by(
        "result",
        "Hedges",
        "Samples that were asked of a second upstream because the first was slow (`hedge`). won: the second was "
        "faster. Mostly lost: the wait before a hedge is too short.",
        "scg_hedges_total",
    ),
    lines(
        "Calls under way",
        "Samples under way at each upstream. Unlike curves for like upstreams: one is slower than the others.",
        {"{{upstream}}": gauge("scg_upstream_in_flight", by="upstream")},
        width=12,
    ),
    lines(
        "Waiting for an upstream",
        "Samples in line because their upstream has as many as `max_in_flight` allows. Long: that bound is the "
        "bottleneck.",
        {"{{upstream}}": gauge("scg_upstream_queue", by="upstream")},
        width=12,
    ),
]  # fmt: skip
