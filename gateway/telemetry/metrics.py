"""Every metric of the gateway, by the names that dashboards are written against.

Label values are bounded: models come from what upstreams serve, policies and upstreams from configuration,
everything else from fixed words.
"""

from collections.abc import Iterable
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from gateway import __version__
from gateway.core.ballot import Abstention, Sample
from gateway.core.record import RoundRecord
from gateway.core.vote import Verdict
from gateway.telemetry import bounds
from gateway.telemetry.consistency import Consistency, FieldAgreement, Pairs
from gateway.telemetry.making import Making
from gateway.telemetry.meters import Count, Spread
from gateway.telemetry.recent import RecentRounds
from gateway.telemetry.totals import LEAST, MOST, Totals, totals_of
from gateway.telemetry.upstream_metrics import UpstreamMetrics

_FATES = ("ballot", "spoiled", "abstained", "cancelled")
RECHECKS = ("same", "different", "lost")


class _RoundMeters(NamedTuple):
    """What every round of one model and policy is counted with."""

    fates: tuple[Count, ...]  # in the order of _FATES
    agreement: Spread
    answers: Spread
    texts: Spread


class Metrics:
    """All metrics on one registry. `policies` are those that requests meet without asking for one.

    A counter that appears with its first count is lost on Prometheus, which then knows no increase: so what
    can be foreseen is there, at 0, from the start.
    """

    def __init__(self, registry: CollectorRegistry, policies: Iterable[str] = ()) -> None:
        self.registry = registry
        self._making = Making(registry)
        self._models: set[str] = set()  # that are expected
        self.meet(policies)
        self.consistency = Consistency()
        self.fields = FieldAgreement()
        self.recent = RecentRounds()
        self._answered: dict[tuple[str, str, str, str, int], tuple[Count, Spread, Spread]] = {}
        self._rounds_by: dict[tuple[str, str], _RoundMeters] = {}
        self._make_request_metrics()
        self._make_round_metrics()
        self._make_cache_metrics()
        self.upstreams = UpstreamMetrics(self._making)
        self._foresee()
        self._making.gauge(
            "scg_build_info", "Always 1; the version is the label", "version", across=MOST
        ).labels(__version__).set(1)

    def _make_request_metrics(self) -> None:
        self._requests = self._making.counter(
            "scg_requests", "Requests answered", "endpoint", "model", "policy", "source", "status"
        )
        self._seconds = self._making.histogram(
            "scg_request_seconds", "Whole time of a request", bounds.SECONDS, "endpoint", "source"
        )
        self._overhead = self._making.histogram(
            "scg_overhead_seconds",
            "Time of a request not spent waiting for an upstream",
            bounds.OVERHEAD,
            "source",
        )
        self._first_chunk = self._making.histogram(
            "scg_first_chunk_seconds", "Time to a stream's first chunk", bounds.SECONDS, "source"
        )
        self.in_flight = self._making.gauge("scg_in_flight_requests", "Requests being answered").labels()
        self._tenant_requests = self._making.counter(
            "scg_tenant_requests", "Requests answered, by whose key they came with", "tenant", "status"
        )
        self._tenant_tokens = self._making.counter(
            "scg_tenant_tokens",
            "Completion tokens returned, and prompt and completion tokens spent",
            "tenant",
            "kind",
        )
        self._tenant_limited = self._making.counter(
            "scg_tenant_limited", "Requests refused by a key's limit", "tenant", "limit"
        )

    def _make_round_metrics(self) -> None:
        by = ("model", "policy")
        self._rounds = self._making.counter("scg_rounds", "Rounds ended", *by, "outcome")
        self._agreement = self._making.histogram(
            "scg_round_agreement", "Winner's votes / samples cast", bounds.AGREEMENT, *by
        )
        self._answers = self._making.histogram(
            "scg_round_distinct_answers", "Different answers in a round", bounds.COUNTS, *by
        )
        self._texts = self._making.histogram(
            "scg_round_distinct_texts", "Different texts in a round", bounds.COUNTS, *by
        )
        self._divergence = self._making.histogram(
            "scg_divergence_characters",
            "Characters shared before the first difference",
            bounds.CHARACTERS,
            *by,
        )
        self._margin = self._making.histogram(
            "scg_margin", "Smallest gap between a sample's best two tokens", bounds.MARGINS, *by
        )
        self._samples = self._making.counter("scg_samples", "Samples by what became of them", *by, "fate")
        self._shed = self._making.counter(
            "scg_shed_rounds", "Rounds for which pressure left one sample of k", *by
        )
        self._saved = self._making.counter("scg_samples_saved", "Samples of k that the stop rule spared", *by)
        self._tokens = self._making.counter(
            "scg_completion_tokens", "Completion tokens returned and spent", "kind"
        )
        self._pairs = self._making.counter(
            "scg_pairs", "Pairs of answers to one question that were compared", *by, "spread", "result"
        )
        self._questions = self._making.gauge(
            "scg_consistency_questions", "Questions with pairs, of the latest ones", *by, "spread"
        )
        self._agreeing = self._making.gauge(
            "scg_consistency_agreement", "Sum over those of the share of pairs that agree", *by, "spread"
        )
        self._rechecks = self._making.counter(
            "scg_rechecks", "Pinned verdicts voted on again, by what came of it", *by, "result"
        )

    def _make_cache_metrics(self) -> None:
        self._cache = self._making.counter("scg_cache_requests", "Look-ups of a pinned verdict", "result")
        self._pins = self._making.counter("scg_pins", "Verdicts offered to the store", "result")
        self.cache_up = self._making.gauge(
            "scg_cache_up", "Whether the store answers and takes pins", across=LEAST
        ).labels()
        self.cache_up.set(1)
        ledger = self._making.counter("scg_ledger_rounds", "Rounds for the vote ledger", "result")
        self.ledger_written, self.ledger_dropped = ledger.labels("written"), ledger.labels("dropped")

    def _foresee(self) -> None:
        looked_up = ("hit_memory", "hit_redis", "miss", "joined", "bypass", "error")
        self._looked_up = {result: self._cache.labels(result) for result in looked_up}
        for result in ("won", "lost", "refused"):
            self._pins.labels(result)
        self._returned, self._spent = self._tokens.labels("returned"), self._tokens.labels("spent")
        for source in ("vote", "cache", "joined", "reference", "single", "passthrough"):
            self._overhead.labels(source)
        self.expect("other")

    def meet(self, policies: Iterable[str]) -> None:
        """From now on these are the policies that requests meet without asking for one."""
        self._policies = sorted(set(policies))
        for model in sorted(self._models):
            self.expect(model)

    def expect(self, model: str) -> None:
        """Have the rounds and pairs of a model at 0, for the policies that its requests will meet."""
        self._models.add(model)
        for policy in self._policies:
            for spread in ("together", "staggered", "apart"):
                for result in ("same", "different"):
                    self._pairs.labels(model, policy, spread, result)
                self._questions.labels(model, policy, spread)
                self._agreeing.labels(model, policy, spread)
            for result in RECHECKS:
                self._rechecks.labels(model, policy, result)
            for outcome in ("unanimous", "majority", "plurality", "tie", "single", "no_quorum"):
                self._rounds.labels(model, policy, outcome)
            for fate in _FATES:
                self._samples.labels(model, policy, fate)
            self._saved.labels(model, policy)
            self._shed.labels(model, policy)
        self.upstreams.expect(model)

    def expect_tenants(self, tenants: Iterable[str]) -> None:
        """Have what is counted of these at 0."""
        for tenant in tenants:
            for status in (200, 401, 429):
                self._tenant_requests.labels(tenant, status)
            for kind in ("returned", "spent"):
                self._tenant_tokens.labels(tenant, kind)
            for limit in ("requests", "tokens"):
                self._tenant_limited.labels(tenant, limit)

    def tenant(self, tenant: str, status: int) -> None:
        """Count a request of a tenant."""
        self._tenant_requests.labels(tenant, status).inc()

    def answered(self, labels: tuple[str, str, str, str, int], seconds: float, overhead: float) -> None:
        """Count a request: its endpoint, model, policy, source and status; how long in all, how long our own."""
        meters = self._answered.get(labels)
        if meters is None:
            endpoint, _, _, source, _ = labels
            meters = self._answered[labels] = (
                self._requests.labels(*labels),
                self._seconds.labels(endpoint, source),
                self._overhead.labels(source),
            )
        counter, whole, own = meters
        counter.inc()
        whole.observe(seconds)
        own.observe(overhead)

    def first_chunk(self, source: str, seconds: float) -> None:
        """Observe the time to a stream's first chunk."""
        self._first_chunk.labels(source).observe(seconds)

    def cache(self, result: str) -> None:
        """Count a look-up: hit_memory, hit_redis, miss, joined, bypass or error."""
        self._looked_up[result].inc()

    def shed(self, model: str, policy: str) -> None:
        """Count a round for which pressure left one sample."""
        self._shed.labels(model, policy).inc()

    def returned(self, tokens: int, tenant: str = "") -> None:
        """Count completion tokens given to a client, and to a tenant where there are some."""
        self._returned.inc(tokens)
        if tenant:
            self._tenant_tokens.labels(tenant, "returned").inc(tokens)

    def spent(self, tenant: str, tokens: int) -> None:
        """Count prompt and completion tokens that a tenant's requests made upstreams spend."""
        self._tenant_tokens.labels(tenant, "spent").inc(tokens)

    def limited(self, tenant: str, limit: str) -> None:
        """Count a request that was refused by its tenant's limit: requests or tokens."""
        self._tenant_limited.labels(tenant, limit).inc()

    def samples(self, record: RoundRecord) -> None:
        """Count the samples of a round, even of one that was given up."""
        fates = (record.ballots, record.spoiled, record.abstained, record.cancelled)
        for counter, number in zip(self._of_rounds(record).fates, fates, strict=True):
            if number:
                counter.inc(number)
        self._spent.inc(record.tokens)

    def round(self, record: RoundRecord) -> None:
        """Count a round that has ended."""
        by = (record.model, record.policy)
        self._rounds.labels(*by, record.outcome).inc()
        self.samples(record)
        for margin in record.margins:
            self._margin.labels(*by).observe(margin)
        if record.fields:
            self.fields.note(*by, record.fields)
        if record.saved:
            self._saved.labels(*by).inc(record.saved)
        if record.pin != "off":
            self._pins.labels(record.pin).inc()
        if record.verdict:
            self._verdict(by, record, record.verdict)
        self.recent.note(record)

    def _verdict(self, by: tuple[str, str], record: RoundRecord, verdict: Verdict) -> None:
        meters = self._of_rounds(record)
        meters.agreement.observe(verdict.agreement)
        meters.answers.observe(verdict.distinct_answers)
        meters.texts.observe(verdict.distinct_texts)
        if verdict.divergence is not None:
            self._divergence.labels(*by).observe(verdict.divergence)
        if verdict.same_pair is not None:
            same = int(verdict.same_pair)
            self.pairs(Pairs(*by, record.spread, record.question, same, 1 - same))

    def _of_rounds(self, record: RoundRecord) -> "_RoundMeters":
        """What rounds of this model and policy are counted with."""
        by = (record.model, record.policy)
        meters = self._rounds_by.get(by)
        if meters is None:
            meters = self._rounds_by[by] = _RoundMeters(
                tuple(self._samples.labels(*by, fate) for fate in _FATES),
                self._agreement.labels(*by),
                self._answers.labels(*by),
                self._texts.labels(*by),
            )
        return meters

    def measured(self, model: str, policy: str, outcome: Sample | Abstention) -> None:
        """Count a sample that was taken only to be compared."""
        fate = "ballot" if isinstance(outcome, Sample) else "abstained"
        self._samples.labels(model, policy, fate).inc()
        if isinstance(outcome, Sample):
            self._spent.inc(outcome.reply.tokens)

    def pairs(self, pairs: Pairs) -> None:
        """Count pairs of answers to one question that were compared."""
        for result, number in (("same", pairs.same), ("different", pairs.different)):
            if number:
                self._pairs.labels(pairs.model, pairs.policy, pairs.spread, result).inc(number)
        questions = self.consistency.note(pairs)
        kind = (pairs.model, pairs.policy, pairs.spread)
        self._questions.labels(*kind).set(len(questions.pairs))
        self._agreeing.labels(*kind).set(questions.agreement)

    def rechecked(self, model: str, policy: str, result: str) -> None:
        """Count a pinned verdict that was voted on again: same, different, or lost where no answer came of it."""
        self._rechecks.labels(model, policy, result).inc()

    @property
    def totals(self) -> Totals:
        """All that was counted, for other processes. States show the worst that any of them sees."""
        return totals_of(self.registry, self._making.across)
