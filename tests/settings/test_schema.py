"""The JSON schema that editors and CI use."""

import json
from importlib.resources import files
from typing import Any

import pytest

from gateway.core.policy import PRESETS
from gateway.settings.schema import json_schema
from tests.settings.loading import settings

SCHEMA: dict[str, Any] = json.loads(json_schema())
POLICY: dict[str, Any] = SCHEMA["$defs"]["PolicyDefinition"]["properties"]
KEYS_OF_AN_UPSTREAM = (
    "name url engine lane models weight max_in_flight api_key api_key_file headers ca_file trust revision"
)
CHOICES = [(field, value) for field, about in POLICY.items() for value in about.get("enum", [])]


def test_the_shipped_schema_is_up_to_date() -> None:
    """`python -m gateway.settings.schema > gateway/config.schema.json` would change nothing."""
    assert json_schema() == files("gateway").joinpath("config.schema.json").read_text(encoding="utf-8")


def test_it_has_exactly_the_documented_keys() -> None:
    """Nothing undocumented can be configured at the top."""
    expected = (
        "host port upstreams cache vote policies routes timeouts health breaker retries limits keys keys_file "
        "page workers drain ledger log"
    )
    assert set(expected.split()) == set(SCHEMA["properties"])
    assert SCHEMA["additionalProperties"] is False


@pytest.mark.parametrize(
    ("section", "keys"),
    [
        ("UpstreamSection", KEYS_OF_AN_UPSTREAM),
        ("CacheSection", "url ttl memory timeout prefix ca_file"),
        ("RouteSection", "model policy"),
        ("TimeoutsSection", "connect first_byte idle total"),
        ("HealthSection", "interval timeout"),
        ("BreakerSection", "failures cooldown"),
        ("RetriesSection", "limit budget backoff max_wait hedge"),
        ("LimitsSection", "max_k max_body max_in_flight max_samples_in_flight"),
        ("DrainSection", "delay timeout"),
        ("LedgerSection", "stream length"),
        ("LogSection", "format level rounds prompts"),
        ("KeySection", "name sha256 rpm tpm admin replace"),
    ],
)  # fmt: skip
def test_its_sections_have_exactly_the_documented_keys(section: str, keys: str) -> None:
    """Likewise below the top."""
    assert set(keys.split()) == set(SCHEMA["$defs"][section]["properties"])
    assert SCHEMA["$defs"][section]["additionalProperties"] is False


@pytest.mark.parametrize(("field", "value"), CHOICES)
def test_what_it_offers_is_taken(field: str, value: object) -> None:
    """Every choice that an editor offers for a policy's field is one that the gateway takes."""
    upstreams = [{"url": "http://a"}, {"url": "http://b", "lane": "reference"}]
    made = settings(json.dumps({"upstreams": upstreams, "vote": {field: value}})).default_policy
    if not isinstance(value, bool) and value != "on" and field != "accept_margin":
        assert getattr(made, field) in {value, False}


def test_defaults_are_spelled_as_people_do() -> None:
    """An editor shows 7d and 64MiB; no default is a secret's placeholder."""
    cache = SCHEMA["$defs"]["CacheSection"]["properties"]
    assert ("memory://", "7d", "64MiB", "250ms") == tuple(
        cache[key]["default"] for key in ("url", "ttl", "memory", "timeout")
    )
    assert PRESETS["majority"].name == SCHEMA["$defs"]["VoteSection"]["properties"]["policy"]["default"]
    assert "**" not in json_schema()
