"""The configuration as users write it, and its JSON schema: `python -m gateway.settings.schema` prints that."""

import json
import sys
from typing import Annotated, Any

from pydantic import Field, SecretStr
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import WithDefaultSchema
from pydantic_settings import BaseSettings, SettingsConfigDict

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
from gateway.settings.policy_schema import PolicyDefinition, VoteSection
from gateway.settings.section import Section

_CACHE, _TIMEOUTS, _LIMITS, _SETTINGS = CacheSettings(), Timeouts(), Limits(), Settings(upstreams=())
_DRAIN, _LOG, _LEDGER = DrainSettings(), LogSettings(), LedgerSettings()
_HEALTH, _BREAKER, _RETRIES = HealthSettings(), BreakerSettings(), RetrySettings()


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
    keys_file: of.Text | None = Field(
        None, description="a YAML file with a list of more keys, looked up from the working directory"
    )
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
