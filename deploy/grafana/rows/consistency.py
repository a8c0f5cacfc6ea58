"""What the project is for: how often results agree."""

from deploy.grafana.kinds import HIGH_IS_GOOD, Panel, lines, listing, numbers, rates_by
from deploy.grafana.promql import (
    APART,
    CHOSEN,
    consistency,
    consistency_bound,
    consistency_now,
    gauge,
    questions,
)

_BY = "model, policy"
_DIFFERING = (
    f"1 - {gauge('model_policy_spread:scg_consistency:ratio_rate6h', *CHOSEN, APART, by=_BY, how='max')}"
)
_ALLOWED = f"1 - {gauge('model_policy:scg_consistency:objective', *CHOSEN, by=_BY, how='max')}"

CONSISTENCY: list[Panel] = [
    numbers(
        "Asked again later, the same answer",
        "The consistency rate now: of the questions that were asked again seconds or more later, how many got "
        "the same answer; each question counts once, however often it is asked. Below the objective: look at the "
        "curves for when it fell, at the marks for what changed then, and choose a policy that votes more, or a "
        "reference lane.",
        {"rate": consistency_now(APART)},
        steps=HIGH_IS_GOOD,
        width=6,
    ),
    numbers(
        "95 % interval",
        "Where the true rate may lie, given how few questions were compared. Too wide to decide on: raise `recheck` "
        "or `measure`.",
        {"at least": consistency_bound("-", APART), "at most": consistency_bound("+", APART)},
        width=6,
    ),
    numbers(
        "Questions behind it",
        "Different questions that were compared with a later answer, of the latest 4,096 of each kind in each process. "
        "They come from `measure` and `recheck`. 0 with traffic: neither is on, so nothing is known of tomorrow.",
        {"questions": questions(APART)},
        unit="short", decimals=0, width=4,
    ),
    numbers(
        "Together: an upper bound",
        "The same for copies sent together. They share a batch and agree with each other more often than with "
        "tomorrow's copy: never quote this as the consistency rate. Far above the headline: set `spread` or `salt`.",
        {"rate": consistency_now('spread="together"')},
        width=4,
    ),
    numbers(
        "Alerts firing",
        "Rules of this gateway that fire in Prometheus, mere information left out. Each is explained in "
        "docs/alerts.md: what it means, what to look at, what to do.",
        {"alerts": 'count(ALERTS{alertname=~"Scg.+",alertstate="firing",severity!="info"}) or vector(0)'},
        unit="short", decimals=0, steps=[(None, "green"), (1, "red")], width=4,
    ),
    listing(
        "Now, by model and policy",
        "The headline for each, with its interval and the questions behind it. A policy that votes should lie "
        "above `single` of the same model; if it does not, its votes buy nothing there.",
        _BY,
        {
            "rate": consistency_now(APART, by=_BY),
            "at least": consistency_bound("-", APART, by=_BY),
            "at most": consistency_bound("+", APART, by=_BY),
            "questions": f"{questions(APART, by=_BY)} > 0",
        },
        {"rate": "percentunit", "at least": "percentunit", "at most": "percentunit"},
        width=12,
    ),
    lines(
        "Error budget, as a multiple of what may be spent",
        "Of answers asked again later, the share that differs (6 h), as a multiple of what the objective allows. 1: "
        "the objective is just kept. Above 1 for long: see ScgConsistencyBudget in docs/alerts.md. The objective is "
        "a rule in deploy/prometheus/recording.yml.",
        {"{{model}} {{policy}}": f"({_DIFFERING}) / ({_ALLOWED} > 0)"},
        width=12,
    ),
    lines(
        "Over time, by model",
        "The rate of pairs seconds or more apart, averaged over the chosen window. Gaps: nothing was compared. A "
        "step down at a mark: what changed there changed answers.",
        {"{{model}}": consistency(APART, by="model")},
        unit="percentunit",
    ),
    lines(
        "Over time, by policy",
        "The same for each policy: what a vote buys over a single sample.",
        {"{{policy}}": consistency(APART, by="policy")},
        unit="percentunit",
    ),
    lines(
        "By how the copies were spread",
        "A gap between the curves is what agreement within one batch hides. Only `apart` tells of tomorrow.",
        {
            "apart": consistency(APART),
            "staggered": consistency('spread="staggered"'),
            "together (upper bound)": consistency('spread="together"'),
        },
        unit="percentunit",
    ),
    rates_by(
        "result",
        "Pairs compared apart",
        "How fast the headline gathers evidence, and with what result.",
        "scg_pairs_total", *CHOSEN, APART,
    ),
    rates_by(
        "result",
        "Pinned answers checked again",
        "What came of `recheck`: same, different from what is pinned, or lost (no answer came of it). More and more "
        "differ: what is pinned is no longer what the model says; see ScgPinsDrift in docs/alerts.md.",
        "scg_rechecks_total", *CHOSEN,
    ),
    rates_by(
        "model",
        "Fingerprint changes",
        "Times that upstreams served something else under a model's name (another checkpoint, length or engine "
        "version). Every question of that model is then voted on anew: expect misses and cost, and compare the rate "
        "before and after.",
        "scg_fingerprint_changes_total", 'model=~"$model"',
    ),
]  # fmt: skip
