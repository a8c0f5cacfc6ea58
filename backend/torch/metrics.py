"""What the engine does, under vLLM's metric names, so that dashboards made for vLLM work."""

from collections.abc import Callable
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from backend.torch.generation import FinishReason
from backend.torch.scheduler import Progress


class Metrics:
    """Counters and gauges of one served model in the given registry."""

    def __init__(self, registry: CollectorRegistry, model: str) -> None:
        self.registry = registry
        self._model = model
        self._running = self._gauge("vllm:num_requests_running", "Requests that hold a batch slot")
        self._waiting = self._gauge("vllm:num_requests_waiting", "Requests waiting for a slot")
        self._prompt = self._counter("vllm:prompt_tokens", "Prompt tokens computed")
        self._generated = self._counter("vllm:generation_tokens", "Tokens generated")
        finished = Counter(
            "vllm:request_success",
            "Requests ended, by reason",
            ["model_name", "finished_reason"],
            registry=registry,
        )
        self._finished = {reason: finished.labels(model, reason) for reason in get_args(FinishReason)}

    def watch(self, num_running: Callable[[], int], num_waiting: Callable[[], int]) -> None:
        """Read the gauges from the engine whenever somebody looks."""
        self._running.set_function(num_running)
        self._waiting.set_function(num_waiting)

    def record(self, progress: Progress) -> None:
        """Count one step."""
        self._prompt.inc(progress.num_prompt_tokens)
        self._generated.inc(sum(len(update.tokens) for _, update in progress.updates))
        for _, update in progress.updates:
            if update.finish_reason is not None:
                self._finished[update.finish_reason].inc()

    def record_abort(self) -> None:
        """Count a request whose client left."""
        self._finished["abort"].inc()

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ["model_name"], registry=self.registry).labels(self._model)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, ["model_name"], registry=self.registry).labels(self._model)
