"""Queries, put together from parts that all panels share.

Windows: `STEP` follows the scrape interval and the width of the screen, for what happens all the time; `WINDOW` is
the smoothing that the reader chose, for what is rare; `RANGE` is everything in view. A quotient has no value
where nothing was counted: Grafana then says "No data", and never NaN.
"""

STEP = "$__rate_interval"
WINDOW = "$window"
RANGE = "$__range"

# Only metrics that carry these labels can be narrowed by the variables.
CHOSEN = ('model=~"$model"', 'policy=~"$policy"')
APART = 'spread="apart"'

_Z = 1.96  # two-sided 95 %


def gauge(metric: str, *matchers: str, by: str = "", how: str = "sum") -> str:
    """A gauge over all processes."""
    return f"{how}{_by(by)}({metric}{_selector(matchers)})"


def increase(metric: str, *matchers: str, by: str = "", over: str = STEP) -> str:
    """How much a counter grew."""
    return f"sum{_by(by)}(increase({metric}{_selector(matchers)}[{over}]))"


def rate(metric: str, *matchers: str, by: str = "", over: str = STEP) -> str:
    """How much a counter grew a second."""
    return f"sum{_by(by)}(rate({metric}{_selector(matchers)}[{over}]))"


def share(part: str, whole: str) -> str:
    """`part` of `whole`: 0 where there is a whole and no part, nothing for no whole."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def ratio(one: str, other: str) -> str:
    """How many times the other; nothing where the other is none."""
    return f"{one} / ({other} > 0)"


def mean(histogram: str, *matchers: str, by: str = "", over: str = WINDOW) -> str:
    """The mean of what a histogram observed."""
    total = rate(f"{histogram}_sum", *matchers, by=by, over=over)
    return ratio(total, rate(f"{histogram}_count", *matchers, by=by, over=over))


def quantile(q: float, histogram: str, *matchers: str, by: str = "", over: str = WINDOW) -> str:
    """A quantile of what a histogram observed; the comparison drops the NaN of a window without any."""
    buckets = rate(f"{histogram}_bucket", *matchers, by=f"le, {by}" if by else "le", over=over)
    return f"histogram_quantile({q}, {buckets}) >= 0"


def above(bound: str, histogram: str, *matchers: str, by: str = "", over: str = WINDOW) -> str:
    """The share of what a histogram observed that lies above one of its bounds."""
    within = rate(f"{histogram}_bucket", *matchers, f'le="{bound}"', by=by, over=over)
    return f"1 - {ratio(within, rate(f'{histogram}_count', *matchers, by=by, over=over))}"


def consistency(*matchers: str, by: str = "", over: str = WINDOW) -> str:
    """The consistency rate over time: pairs with the same answer among all pairs."""
    same = increase("scg_pairs_total", *CHOSEN, *matchers, 'result="same"', by=by, over=over)
    return share(same, increase("scg_pairs_total", *CHOSEN, *matchers, by=by, over=over))


def questions(*matchers: str, by: str = "") -> str:
    """How many of the latest questions have pairs."""
    return gauge("scg_consistency_questions", *CHOSEN, *matchers, by=by)


def consistency_now(*matchers: str, by: str = "") -> str:
    """The consistency rate of the latest questions, each of which counts once."""
    return ratio(_agreement(*matchers, by=by), questions(*matchers, by=by))


def consistency_bound(sign: str, *matchers: str, by: str = "") -> str:
    """One end of its 95 % interval (Wilson, as `gateway.core.interval`); `sign` is - or +.

    With a the sum of the shares over n questions: (a + z²/2 ± z √(a (n - a) / n + z²/4)) / (n + z²).
    """
    n, a = questions(*matchers, by=by), _agreement(*matchers, by=by)
    half = f"{_Z} * sqrt({a} * ({n} - {a}) / ({n} > 0) + {_Z**2 / 4:.4f})"
    return f"({a} + {_Z**2 / 2:.4f} {sign} {half}) / ({n} + {_Z**2:.4f})"


def legend(by: str) -> str:
    """What names a curve by these labels."""
    return " ".join(f"{{{{{name}}}}}" for name in by.split(", ") if name)


def _agreement(*matchers: str, by: str = "") -> str:
    return gauge("scg_consistency_agreement", *CHOSEN, *matchers, by=by)


def _selector(matchers: tuple[str, ...]) -> str:
    return f"{{{','.join(matchers)}}}" if matchers else ""


def _by(by: str) -> str:
    return f" by ({by}) " if by else ""
