"""The configuration as users write it, and its JSON schema: `python -m gateway.settings.schema` prints that."""

import json
import sys
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, WithJsonSchema, field_validator
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import WithDefaultSchema
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.core.answer.rules import ANSWERS
from gateway.core.policy import FIELDS, Policy
from gateway.core.policy_fields import FALLBACKS, ON_DISAGREEMENT, STOPS, parse_field
from gateway.settings import fields as of
from gateway.settings.model import (
    BreakerSettings,
    CacheSettings,
    DrainSettings,
    HealthSettings,
    LedgerSettings,
    Limits,
    LogSettings,
    RetrySettings,
    Settings,
    Timeouts,
)
from gateway.settings.values import switch

_POLICY = Policy()
_ANSWER = {"anyOf": [{"enum": list(ANSWERS)}, {"type": "string", "pattern": "^regex:."}]}
_STOP = {"anyOf": [{"enum": list(STOPS)}, {"type": "string", "pattern": r"^beta:0?\.\d+$"}]}
_ON_DISAGREEMENT = {
    "anyOf": [{"enum": list(ON_DISAGREEMENT)}, {"type": "string", "pattern": r"^escalate:[1-9]\d*$"}]
}
_MARGIN = {"anyOf": [{"enum": [False, "off"]}, {"type": "number", "minimum": 0}]}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_CACHE, _TIMEOUTS, _LIMITS, _SETTINGS = CacheSettings(), Timeouts(), Limits(), Settings(upstreams=())
_DRAIN, _LOG, _LEDGER = DrainSettings(), LogSettings(), LedgerSettings()
_HEALTH, _BREAKER, _RETRIES = HealthSettings(), BreakerSettings(), RetrySettings()


class Section(BaseModel):
    """A mapping of the file. Unknown keys are errors; values never appear in pydantic's own messages."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class UpstreamSection(Section):
    """One LLM server."""

    url: of.UpstreamUrl = Field(description="with or without /v1")
    name: of.Name | None = Field(None, description="in metrics and logs; upstream-1, upstream-2 by default")
    engine: Annotated[str, *of.choice("auto", "vllm", "sglang", "lmdeploy", "openai", "torch")] = Field(
        "auto", description="which dialect it speaks; auto: seen by its routes"
    )
    lane: Annotated[str, *of.choice("fast", "reference")] = Field(
        "fast", description="reference: answers that do not depend on the batch"
    )
    models: of.Words = Field([], description="what it serves; empty: what its /v1/models lists")
    weight: of.Weight = Field(1.0, description="its share of the requests, beside the others'")
    max_in_flight: of.Count | None = Field(None, description="requests at once; 1 serialises")
    api_key: of.Secret | None = Field(None, description="sent to it instead of the client's")
    api_key_file: of.Text | None = Field(None, description="a file that holds the key")
    headers: dict[of.HeaderName, of.Header] = Field({}, description="added to every request to it")
    ca_file: of.Text | None = Field(None, description="certificates (PEM) to trust for https")
    trust: of.Switch = Field(default=False, description="a reference lane without being probed")
    revision: of.Text | None = Field(None, description="names the weights; part of every pin's key")


class CacheSection(Section):
    """Where verdicts are pinned."""

    url: of.CacheUrl = Field(
        SecretStr(_CACHE.url),
        description="memory:// is this process's own",
        json_schema_extra={"default": _CACHE.url},
    )
    ttl: of.Duration = of.duration(_CACHE.ttl, "of a pin")
    memory: of.Size = of.size(_CACHE.memory, "of the process's own layer; 0 turns it off")
    timeout: of.Duration = of.duration(_CACHE.timeout, "for one call to Redis")
    prefix: of.Prefix = Field(
        _CACHE.prefix, description="of every key in Redis: gateways that share it share pins"
    )
    ca_file: of.Text | None = Field(None, description="certificates (PEM) to trust for rediss")


class PolicySection(Section):
    """Any field of a policy. The core parses them, for requests as well: one grammar, one set of messages."""

    k: Annotated[Any, WithJsonSchema(of.COUNT)] = Field(None, description="samples a question gets at most")
    lane: Annotated[Any, WithJsonSchema({"enum": ["fast", "reference"]})] = Field(
        None, description="of the upstreams that are asked"
    )
    answer: Annotated[Any, WithJsonSchema(_ANSWER)] = Field(
        None, description="what counts as the same answer, see voting-answers.md"
    )
    stop: Annotated[Any, WithJsonSchema(_STOP)] = Field(None, description="when a round has seen enough")
    min_ballots: Annotated[Any, WithJsonSchema(of.COUNT)] = Field(
        None,
        description="answers without which there is no verdict; more than half of k, or 3 under beta:C, by default",
    )
    min_agreement: Annotated[Any, WithJsonSchema(_SHARE)] = Field(
        None, description="votes of the winner / samples cast; below it, on_disagreement says what happens"
    )
    on_disagreement: Annotated[Any, WithJsonSchema(_ON_DISAGREEMENT)] = Field(
        None, description="below min_agreement, or without min_ballots"
    )
    reference_fallback: Annotated[Any, WithJsonSchema({"enum": list(FALLBACKS)})] = Field(
        None, description="while no reference lane is up and trusted: 503, or the plurality, unpinned"
    )
    spread: Annotated[Any, WithJsonSchema(of.SPREAD)] = Field(None, description="how far apart samples start")
    salt: Annotated[Any, WithJsonSchema(of.SWITCH)] = Field(
        None, description="a prefix cache of its own for each index of a sample, by cache_salt (vLLM)"
    )
    when: Annotated[Any, WithJsonSchema({"enum": ["always", "deterministic"]})] = Field(
        None, description="deterministic: only requests with a seed or temperature 0 are voted on and pinned"
    )
    measure: Annotated[Any, WithJsonSchema(_SHARE)] = Field(
        None, description="share of single-sample answers that are compared with more samples later"
    )
    measure_k: Annotated[Any, WithJsonSchema({"type": "integer", "minimum": 2})] = Field(
        None, description="samples that such a question gets in all"
    )
    recheck: Annotated[Any, WithJsonSchema(_SHARE)] = Field(
        None, description="share of hits whose question is voted on again, to compare"
    )
    wave: Annotated[Any, WithJsonSchema(of.COUNT)] = Field(
        None, description="samples launched at once after the first lot"
    )
    stream_launch: Annotated[Any, WithJsonSchema({"enum": ["lazy", "all"]})] = Field(
        None,
        description="samples a live stream starts with: the deciding number, or all; lazy below k=4 by default",
    )
    accept_margin: Annotated[Any, WithJsonSchema(_MARGIN)] = Field(
        None, description="accept one sample whose best two tokens are nowhere closer than this (logprob)"
    )
    pin_truncated: Annotated[Any, WithJsonSchema({"enum": ["auto", "always", "never"]})] = Field(
        None,
        description="whether answers cut by a length limit are pinned; auto: those cut by the client's own",
    )
    shed: Annotated[Any, WithJsonSchema(of.SWITCH)] = Field(
        None, description="whether k may fall to 1 under pressure"
    )
    sample_timeout: Annotated[Any, WithJsonSchema(of.DURATION)] = Field(
        None, description="for one sample; timeouts.total by default"
    )
    deadline: Annotated[Any, WithJsonSchema(of.DURATION)] = Field(
        None, description="for a verdict; timeouts.total by default"
    )
    ttl: Annotated[Any, WithJsonSchema(of.DURATION)] = Field(
        None, description="of its pins; cache.ttl by default"
    )
    cache: Annotated[Any, WithJsonSchema(of.SWITCH)] = Field(
        None, description="whether verdicts are pinned and shared at all"
    )

    @field_validator(*FIELDS, mode="before")
    @classmethod
    def _parsed(cls, value: object, info: ValidationInfo) -> object:
        field = str(info.field_name)
        if isinstance(getattr(_POLICY, field), bool):
            value = switch(value)
        return parse_field(field, value)


class PolicyDefinition(PolicySection):
    """A policy of one's own."""

    extends: of.Name | None = Field(None, description="a preset or another policy; majority by default")


class VoteSection(PolicySection):
    """The policy of every request that no route and no header gives another one."""

    policy: of.Name = Field(_SETTINGS.default_policy.name, description="its name")


class RouteSection(Section):
    """The policy of some models; the first route that matches counts."""

    model: of.Text = Field(description="a model's name, or a pattern like qwen3-*")
    policy: of.Name = Field(description="its name")


class TimeoutsSection(Section):
    """How long one call to an upstream may take."""

    connect: of.Duration = of.duration(_TIMEOUTS.connect, "to connect")
    first_byte: of.Duration = of.duration(
        _TIMEOUTS.first_byte, "to the answer's first byte, and in line for a place"
    )
    idle: of.Duration = of.duration(_TIMEOUTS.idle, "between two pieces of an answer")
    total: of.Duration = of.duration(_TIMEOUTS.total, "from the call to the last byte")


class HealthSection(Section):
    """How each upstream is looked at."""

    interval: of.Duration = of.duration(_HEALTH.interval, "between two looks at its /v1/models")
    timeout: of.Duration = of.duration(_HEALTH.timeout, "for the answer; it is down after two without one")


class BreakerSection(Section):
    """When an upstream that keeps failing is left alone, as long as there is another one."""

    failures: of.Failures = Field(
        _BREAKER.failures, description="in a row, or twice as many of the latest four times as many calls"
    )
    cooldown: of.Duration = of.duration(_BREAKER.cooldown, "before a trial; doubles, up to 16 times")


class RetriesSection(Section):
    """When a call that failed is made once more, where that is safe: nothing was sent, heard or begun."""

    limit: of.Retries = Field(
        _RETRIES.limit, description="for one request, all its samples together; 0: none"
    )
    budget: of.Share = Field(_RETRIES.budget, description="share of all calls that may be made once more")
    backoff: of.Duration = of.duration(_RETRIES.backoff, "the longest pause before the first one; doubles")
    max_wait: of.Duration = of.duration(_RETRIES.max_wait, "a retry-after above this is not waited for")
    hedge: of.OptionalDuration = Field(
        None,
        description="a sample without a first byte for so long is asked of another upstream, too; off by default",
    )


class LimitsSection(Section):
    """What one process takes on at once, and what one request may ask for."""

    max_k: of.Count = Field(_LIMITS.max_k, description="samples that any policy or request may ask for")
    max_body: of.BodySize = of.size(_LIMITS.max_body, "of a request or an answer, decoded")
    max_in_flight: of.Count = Field(_LIMITS.max_in_flight, description="requests at once; 429 above")
    max_samples_in_flight: of.Count = Field(
        _LIMITS.max_samples_in_flight, description="samples at once; those above wait, fairly"
    )


class DrainSection(Section):
    """How the gateway ends on SIGTERM: not ready, refusing requests, then gone."""

    delay: of.Wait = of.duration(_DRAIN.delay, "of saying not ready before requests are refused")
    timeout: of.Wait = of.duration(_DRAIN.timeout, "for what is in flight from then on")


class LogSection(Section):
    """What is logged, on standard error. Never keys, and no prompts unless that is asked for."""

    format: Annotated[str, *of.choice("auto", "text", "json")] = Field(
        _LOG.format, description="auto: text on a terminal, else json"
    )
    level: Annotated[str, *of.choice("debug", "info", "warning", "error")] = Field(
        _LOG.level, description="the least that is logged"
    )
    rounds: of.Switch = Field(_LOG.rounds, description="one line a round")
    prompts: of.Switch = Field(_LOG.prompts, description="what was asked and answered, in those lines")


class LedgerSection(Section):
    """The vote ledger: hashes of every sample of every round, and no text. See docs/ledger.md."""

    stream: of.Switch = Field(_LEDGER.stream, description="append to a stream in Redis")
    length: of.Count = Field(_LEDGER.length, description="rounds that are kept, about")


class KeySection(Section):
    """A client's API key, by its digest: `scg key new NAME` makes both."""

    name: of.Name = Field(description="the tenant's; several keys may have one name")
    sha256: of.Digest = Field(description="of the key, in hex")
    rpm: of.Count | None = Field(None, description="requests per minute, of all keys of this name")
    tpm: of.Count | None = Field(None, description="tokens per minute, of all keys of this name")
    admin: of.Switch = Field(default=False, description="may use the admin endpoints")
    replace: of.Switch = Field(default=False, description="may replace pins by Cache-Control: no-cache")


class ConfigFile(BaseSettings):
    """The configuration of the gateway. Every key is also a variable: SCG_CACHE__TTL is cache.ttl."""

    model_config = SettingsConfigDict(
        extra="forbid", hide_input_in_errors=True, validate_default=False, title="scg configuration"
    )

    host: of.Text = Field(_SETTINGS.host, description="where to listen")
    port: of.Port = Field(_SETTINGS.port, description="0: any free one")
    upstreams: list[UpstreamSection] = []
    cache: CacheSection = CacheSection()
    vote: VoteSection = VoteSection()
    policies: dict[of.Name, PolicyDefinition] = {}
    routes: list[RouteSection] = []
    timeouts: TimeoutsSection = TimeoutsSection()
    health: HealthSection = HealthSection()
    breaker: BreakerSection = BreakerSection()
    retries: RetriesSection = RetriesSection()
    limits: LimitsSection = LimitsSection()
    keys: list[KeySection] = []
    keys_file: of.Text | None = Field(None, description="a YAML file with a list of more keys")
    page: of.Switch = Field(_SETTINGS.page, description="the live page at /")
    workers: of.Count = Field(_SETTINGS.workers, description="processes on one port; above 1 needs Redis")
    drain: DrainSection = DrainSection()
    ledger: LedgerSection = LedgerSection()
    log: LogSection = LogSection()


class _Terse(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  the base class's signature
        """Titles would only repeat the keys."""
        return False

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        """No default is no news, and that of a section is the sum of its keys'."""
        made = super().default_schema(schema)
        if made.get("default") is None or "$ref" in made:
            made.pop("default", None)
        return made


def json_schema() -> str:
    """The schema for editors and CI, as it is shipped in `gateway/config.schema.json`."""
    made = ConfigFile.model_json_schema(schema_generator=_Terse)
    schema = {"$schema": GenerateJsonSchema.schema_dialect} | made
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(json_schema())
