"""What the gateway is to reach, as data, and whether it has."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.figures import Figure, figure, ratio
from benchmarks.results import Results

_AT = 32  # connections of the figures that goals are about
_ENDURANCE = 1_000_000

Reading = Callable[[Results], Figure | None]


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on one figure; an upper one unless said otherwise."""

    title: str
    bound: float
    reading: Reading
    unit: str = "x"
    is_floor: bool = False

    def is_met(self, found: Figure) -> bool:
        """Whether the middle of the turns is on the right side."""
        return found.middle >= self.bound if self.is_floor else found.middle <= self.bound

    @property
    def sign(self) -> str:
        """How the bound is written."""
        return "≥" if self.is_floor else "≤"


def cpu(ours: str, theirs: str) -> Reading:
    """Processor time per request of one subject over that of another, turn by turn."""

    def read(results: Results) -> Figure | None:
        runs = {
            name: {run.turn: run.cpu_us for run in results.load_runs(name, _AT)} for name in (ours, theirs)
        }
        turns = sorted(runs[ours].keys() & runs[theirs].keys())
        return ratio([runs[ours][turn] for turn in turns], [runs[theirs][turn] for turn in turns])

    return read


def tail(subject: str) -> Reading:
    """p99 over p50."""
    return lambda results: figure(
        run.p99_us / run.p50_us for run in results.load_runs(subject, _AT) if run.p50_us
    )


def chunk_cpu(ours: str, theirs: str, streams: int) -> Reading:
    """Processor time per chunk of one subject over that of another, turn by turn."""

    def read(results: Results) -> Figure | None:
        pairs = zip(results.stream_runs(ours, streams), results.stream_runs(theirs, streams), strict=False)
        return figure(our.cpu_us / their.cpu_us for our, their in pairs if their.cpu_us)

    return read


def added_first(subject: str) -> Reading:
    """Milliseconds that a lone stream's first chunk comes later than without the proxy."""

    def read(results: Results) -> Figure | None:
        pairs = zip(results.stream_runs(subject, 1), results.stream_runs("direct", 1), strict=False)
        return figure(our.first_ms - direct.first_ms for our, direct in pairs)

    return read


def spoilt_chunks(subject: str, streams: int) -> Reading:
    """Chunks that a proxy lost, and those merged beyond what the client itself merges."""

    def read(results: Results) -> Figure | None:
        pairs = zip(
            results.stream_runs(subject, streams), results.stream_runs("direct", streams), strict=False
        )
        return figure(float(our.lost + max(0, our.merged - direct.merged)) for our, direct in pairs)

    return read


def held_back(subject: str, streams: int) -> Reading:
    """Milliseconds that all but one in a hundred chunks come later at most, beyond what they take without a proxy.

    Proxies that leave Nagle's algorithm on hold chunks back for some 20 to 40.
    """

    def read(results: Results) -> Figure | None:
        pairs = zip(
            results.stream_runs(subject, streams), results.stream_runs("direct", streams), strict=False
        )
        return figure(our.delay_p99_ms - direct.delay_p99_ms for our, direct in pairs)

    return read


def _memory(results: Results) -> Figure | None:
    return figure([max(results.memory.loaded_mb, results.memory.after_mb)]) if results.memory else None


def _growth(results: Results) -> Figure | None:
    """Beyond the first tenth, in which caches fill; of a shorter run it says nothing."""
    if not results.endurance or results.endurance[-1].requests < _ENDURANCE:
        return None
    settled = results.endurance[len(results.endurance) // 10]
    return figure([results.endurance[-1].rss_mb - settled.rss_mb])


def _start(results: Results) -> Figure | None:
    return figure(results.starts)


GOALS: tuple[Goal, ...] = (
    Goal("pass-through / shortest aiohttp proxy, CPU", 1.5, cpu("pass-through", "floor-proxy")),
    Goal("pass-through / vllm-router, CPU", 0.8, cpu("pass-through", "vllm-router")),
    Goal("hit in memory / shortest aiohttp + Redis GET, CPU", 0.6, cpu("hit", "floor-cache")),
    Goal("hit in memory / rolter's hit, CPU", 0.8, cpu("hit", "rolter-cache")),
    Goal("hit in Redis / shortest aiohttp + Redis GET, CPU", 0.7, cpu("redis-hit", "floor-cache")),
    Goal("k=3 agreeing / k=1, CPU", 2.2, cpu("k3", "single")),
    Goal("LiteLLM / pass-through, CPU", 100, cpu("litellm", "pass-through"), is_floor=True),
    Goal("LiteLLM's hit / hit in memory, CPU", 100, cpu("litellm-cache", "hit"), is_floor=True),
    Goal("p99 / p50, pass-through", 3, tail("pass-through")),
    Goal("p99 / p50, hit in memory", 3, tail("hit")),
    Goal("p99 / p50, hit in Redis", 3, tail("redis-hit")),
    Goal("p99 / p50, k=3 agreeing", 3, tail("k3")),
    Goal("stream / vllm-router, CPU per chunk, 50 at once", 1.0, chunk_cpu("gateway", "vllm-router", 50)),
    Goal("stream / vllm-router, CPU per chunk, 500 at once", 1.0, chunk_cpu("gateway", "vllm-router", 500)),
    Goal("stream: chunks lost or merged, 50 at once", 0, spoilt_chunks("gateway", 50), ""),
    Goal("stream: chunks lost or merged, 500 at once", 0, spoilt_chunks("gateway", 500), ""),
    Goal("stream: chunks held back, p99, 50 at once", 10, held_back("gateway", 50), "ms"),
    Goal("stream: chunks held back, p99, 500 at once", 10, held_back("gateway", 500), "ms"),
    Goal("stream: first chunk later by, 1 at once", 0.3, added_first("gateway"), "ms"),
    Goal("resident memory under load and after", 70, _memory, "MB"),
    Goal("its growth over 1,000,000 hits", 1, _growth, "MB"),
    Goal("start to first answer", 0.6, _start, "s"),
)
