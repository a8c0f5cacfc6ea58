"""What is counted of upstreams: calls, whether they can be asked, and what was asked once more."""

from collections.abc import Callable

from gateway.telemetry.bounds import SECONDS
from gateway.telemetry.making import Making
from gateway.telemetry.totals import LEAST, MOST
from gateway.telemetry.upstream_meter import RESULTS, RETRIED, Line, UpstreamMeter

_HEDGED = ("won", "lost", "failed")


class UpstreamMetrics:
    """Those of all upstreams, each under its name."""

    def __init__(self, making: Making) -> None:
        by = "upstream"
        self._seconds = making.histogram("scg_upstream_seconds", "Whole time of a call", SECONDS, by)
        self._requests = making.counter("scg_upstream_requests", "Calls by result", by, "result")
        self._up = making.gauge("scg_upstream_up", "Whether it can be reached", by, across=LEAST)
        self._in_flight = making.gauge("scg_upstream_in_flight", "Calls under way", by)
        self._queue = making.gauge("scg_upstream_queue", "Samples in line for it", by)
        self._changes = making.counter(
            "scg_fingerprint_changes", "Times that upstreams served something else under a name", "model"
        )
        self._breaker = making.gauge("scg_breaker_state", "0 closed, 1 open, 2 half-open", by, across=MOST)
        self._ejections = making.counter("scg_upstream_ejections", "Times that its breaker opened", by)
        self._retries = making.counter(
            "scg_upstream_retries", "Calls made once more, by whom they failed at and why", by, "reason"
        )
        self._hedges = making.counter("scg_hedges", "Samples asked of a second upstream", "result")
        self._refused_retries = making.counter(
            "scg_retries_refused", "Retries that the budget refused"
        ).labels()
        for result in _HEDGED:
            self._hedges.labels(result)

    def expect(self, model: str) -> None:
        """Have what is counted of a model at 0."""
        self._changes.labels(model)

    def fingerprint_changed(self, model: str) -> None:
        """Count that the upstreams now serve something else under this name."""
        self._changes.labels(model).inc()

    def retry_refused(self) -> None:
        """Count a retry that the budget refused."""
        self._refused_retries.inc()

    def hedged(self, result: str) -> None:
        """Count a sample that was asked of a second upstream: won or lost, or neither gave one."""
        self._hedges.labels(result).inc()

    def meter(self, name: str, line: Line, breaker_state: Callable[[], float]) -> UpstreamMeter:
        """The meter of one upstream."""
        self._queue.labels(name).set_function(lambda: line.waiting)
        self._breaker.labels(name).set_function(breaker_state)
        return UpstreamMeter(
            seconds=self._seconds.labels(name),
            in_flight=self._in_flight.labels(name),
            is_up=self._up.labels(name),
            results={each: self._requests.labels(name, each) for each in RESULTS},
            retries={each: self._retries.labels(name, each) for each in RETRIED},
            ejections=self._ejections.labels(name),
        )

    def forget(self, name: str) -> None:
        """It is no longer there: nothing is to be said of its state. What was counted stays."""
        for gauge in (self._up, self._in_flight, self._queue, self._breaker):
            gauge.forget(name)
