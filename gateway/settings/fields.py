"""The kinds of values that settings have: what is taken, and the JSON schema."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr, WithJsonSchema

from gateway.core.units import format_duration, parse_duration, parse_size
from gateway.settings import values as take
from gateway.settings.spelling import format_size
from gateway.settings.urls import parse_cache_url, parse_upstream_url

DURATION = {"type": ["string", "number"], "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h|d)?$", "examples": ["30s"]}
SIZE = {
    "type": ["string", "integer"],
    "pattern": r"^\d+(\.\d+)?\s*(B|[KMG]iB|[kMG]B)?$",
    "examples": ["64MiB"],
}
SWITCH = {"enum": [True, False, "on", "off"]}
SPREAD = {"anyOf": [{"enum": ["together"]}, {"type": "string", "pattern": "^staggered:"}]}
COUNT = {"type": "integer", "minimum": 1}
_UP_TO = {"type": "integer", "minimum": 0, "maximum": 100}

Port = Annotated[int, BeforeValidator(take.PORT), WithJsonSchema({"type": "integer", "maximum": 65535})]
Count = Annotated[int, BeforeValidator(take.whole_number(1)), WithJsonSchema(COUNT)]
Failures = Annotated[int, BeforeValidator(take.whole_number(1, 100)), WithJsonSchema(_UP_TO | {"minimum": 1})]
Retries = Annotated[int, BeforeValidator(take.whole_number(0, 100)), WithJsonSchema(_UP_TO)]
Share = Annotated[
    float, BeforeValidator(take.share), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})
]
Weight = Annotated[
    float, BeforeValidator(take.weight), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})
]
Switch = Annotated[bool, BeforeValidator(take.switch), WithJsonSchema(SWITCH)]
Text = Annotated[str, BeforeValidator(take.text), WithJsonSchema({"type": "string", "minLength": 1})]
Name = Annotated[
    str, BeforeValidator(take.name), WithJsonSchema({"type": "string", "pattern": f"^{take.NAME.pattern}$"})
]
Prefix = Annotated[
    str,
    BeforeValidator(take.prefix),
    WithJsonSchema({"type": "string", "pattern": f"^{take.PREFIX.pattern}$"}),
]
HeaderName = Annotated[str, BeforeValidator(take.header_name)]
Header = Annotated[SecretStr, BeforeValidator(take.header), WithJsonSchema({"type": "string"})]
Secret = Annotated[
    SecretStr, BeforeValidator(take.header), WithJsonSchema({"type": "string", "minLength": 1})
]
Digest = Annotated[
    SecretStr,
    BeforeValidator(take.digest),
    WithJsonSchema({"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}),
]
UpstreamUrl = Annotated[
    str, BeforeValidator(parse_upstream_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})
]
CacheUrl = Annotated[
    SecretStr,
    BeforeValidator(parse_cache_url),
    WithJsonSchema(
        {"type": "string", "pattern": r"^(memory|rediss?(\+(sentinel|cluster))?)://", "default": "memory://"}
    ),
]
Words = Annotated[list[Text], BeforeValidator(take.words)]
Duration = Annotated[
    float,
    BeforeValidator(take.duration),
    WithJsonSchema(DURATION),
]
Wait = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(DURATION),
]
OptionalDuration = Annotated[
    float | None,
    BeforeValidator(take.optional_duration),
    WithJsonSchema({"anyOf": [{"enum": [False, "off"]}, DURATION]}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(SIZE),
]
BodySize = Annotated[
    int,
    BeforeValidator(take.body_size),
    WithJsonSchema(SIZE),
]


def choice(*choices: str) -> Any:
    """The metadata of a field with a few words to choose from."""
    return BeforeValidator(take.one_of(*choices)), WithJsonSchema({"enum": list(choices)})


def duration(default: float, description: str | None = None) -> float:
    """A duration whose default the schema spells as people do."""
    return Field(default, description=description, json_schema_extra={"default": format_duration(default)})


def size(default: int, description: str | None = None) -> int:
    """A size whose default the schema spells as people do."""
    return Field(default, description=description, json_schema_extra={"default": format_size(default)})
