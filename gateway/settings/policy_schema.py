"""Policies as users write them in the configuration, field by field."""

from typing import Annotated, Any

from pydantic import Field, ValidationInfo, WithJsonSchema, field_validator

from gateway.core.answer.rules import ANSWERS
from gateway.core.policy import FIELDS, Policy
from gateway.core.policy_fields import FALLBACKS, ON_DISAGREEMENT, STOPS, parse_field
from gateway.settings import fields as of
from gateway.settings.model import Settings
from gateway.settings.section import Section
from gateway.settings.values import switch

_POLICY = Policy()
_ANSWER = {"anyOf": [{"enum": list(ANSWERS)}, {"type": "string", "pattern": "^regex:."}]}
_STOP = {"anyOf": [{"enum": list(STOPS)}, {"type": "string", "pattern": r"^beta:0?\.\d+$"}]}
_ON_DISAGREEMENT = {
    "anyOf": [{"enum": list(ON_DISAGREEMENT)}, {"type": "string", "pattern": r"^escalate:[1-9]\d*$"}]
}
_MARGIN = {"anyOf": [{"enum": [False, "off"]}, {"type": "number", "minimum": 0}]}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}


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
        None,
        description="votes of the winner / samples cast, in two decimals; below it, on_disagreement has its say",
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

    policy: of.Name = Field(Settings(upstreams=()).default_policy.name, description="its name")
