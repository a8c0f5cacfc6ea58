"""Metrics that are there before anything was counted."""

from prometheus_client import CollectorRegistry

from gateway.telemetry.metrics import Metrics


def test_new_policies_are_there_from_the_start() -> None:
    """A policy that requests meet from now on has its rounds at 0, of the models that were known before, too."""
    metrics = Metrics(CollectorRegistry(), ["majority"])
    metrics.expect("m")
    metrics.meet(["single"])
    for model in ("m", "other"):
        about = {"model": model, "policy": "single", "outcome": "single"}
        assert 0.0 == metrics.registry.get_sample_value("scg_rounds_total", about)
