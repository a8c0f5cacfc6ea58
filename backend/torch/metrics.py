"""What the engine does, under vLLM's metric names, so that dashboards made for vLLM work."""

from collections.abc import Callable
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from backend.torch.generation import FinishReason
from backend.torch.scheduler import Progress, Scheduler

# Seconds, from a small model's first token to a long answer's last.
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_TOKENS = tuple(2**power for power in range(14))


class Metrics:
    """Counters and gauges of one served model in the given registry."""

    def __init__(self, registry: CollectorRegistry, model: str) -> None:
        self.registry = registry
        self._model = model
        self._running = self._gauge("vllm:num_requests_running", "Requests that have begun")
        self._waiting = self._gauge("vllm:num_requests_waiting", "Requests that wait")
        self._cache = self._gauge(
            "vllm:kv_cache_usage_perc", "Share of the memory for keys and values taken, 0 to 1"
        )
        self._prompt = self._counter("vllm:prompt_tokens", "Prompt tokens computed")
        self._generated = self._counter("vllm:generation_tokens", "Tokens generated")
        self._step = self._histogram("vllm:iteration_tokens_total", "Tokens computed in a step", _TOKENS)
        self.first_token = self._histogram(
            "vllm:time_to_first_token_seconds", "Arrival to first token", _SECONDS
        )
        self.whole = self._histogram("vllm:e2e_request_latency_seconds", "Arrival to last token", _SECONDS)
        finished = Counter(
            "vllm:request_success",
            "Requests ended, by reason",
            ["model_name", "finished_reason"],
            registry=registry,
        )
        self._finished = {reason: finished.labels(model, reason) for reason in get_args(FinishReason)}

    def watch(self, scheduler: Scheduler, num_waiting: Callable[[], int]) -> None:
        """Read the gauges whenever somebody looks."""
        self._running.set_function(lambda: scheduler.num_running)
        self._waiting.set_function(num_waiting)
        self._cache.set_function(lambda: scheduler.cache_usage)

    def record(self, progress: Progress) -> None:
        """Count one step."""
        self._prompt.inc(progress.num_prompt_tokens)
        self._generated.inc(sum(len(update.tokens) for _, update in progress.updates))
        self._step.observe(progress.num_prompt_tokens + progress.num_answer_tokens)
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

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        metric = Histogram(name, text, ["model_name"], registry=self.registry, buckets=buckets)
        return metric.labels(self._model)
