"""Writes docs/settings.md and docs/metrics.md from the code: `python docs/reference.py`.

A test holds them to it, so that nothing can be set or exported that is not written down.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

sys.path.insert(0, str(Path(__file__).parent.parent))

from gateway.core.policy import PRESETS, Policy
from gateway.core.policy_fields import CHOICES
from gateway.core.units import format_duration
from gateway.settings.schema import json_schema
from gateway.telemetry.meters import Counter, Family, Histogram
from gateway.telemetry.metrics import Metrics

HERE = Path(__file__).parent
_MADE = "<!-- Made by `python docs/reference.py`: change the code, not this. -->\n"

# What a pattern of the schema means, by a part that no other one has.
_PATTERNS = {
    "ms|s|m": "duration",
    "[KMG]iB": "size",
    "^beta:": "`beta:C`",
    "^escalate:": "`escalate:N`",
    "^regex:": "`regex:…`",
    "^staggered:": "`staggered:50ms`",
}

_SETTINGS = """# Settings

{made}
One YAML file (`--config FILE` or `SCG_CONFIG`), and a variable for each key: `SCG_` and the key in capitals, `__` for each level, list positions included: `SCG_CACHE__URL`, `SCG_UPSTREAMS__0__URL`. Flags win over variables, those over the file, that over the defaults. `SCG_UPSTREAM_URL` and `SCG_UPSTREAM_API_KEY` alone make one upstream. An unknown key or variable is an error that names its nearest neighbour.

`scg config show` prints what is in force and who said so, `scg config check` what is wrong (first with keys and values, and once those are right, with what they name and mean together), `scg config schema` the JSON schema, for editors. Durations are `500ms`, `30s`, `7d`; sizes `64MiB`; switches `on` and `off`. Files that are named by a relative path (`keys_file`, `api_key_file`, `ca_file`) are looked up from the working directory, not beside the YAML file.

## At the top

{top}
{sections}
## Policies

The fields of `vote` and of each of `policies`. A request may choose {choices}, in its `consistency` member or in `x-consistency-*` headers. What they mean together: [choosing a policy](voting.md).

{policy}
### Presets

A field that a preset leaves blank has its default.

{presets}"""

_METRICS = """# Metrics

{made}
`GET /metrics`, for Prometheus. Every name is there from the start, at 0 where it can be foreseen. Labels are bounded: models that no upstream serves are `other`, the rest comes from configuration or is one of a few words. `source` and `outcome` are those of [an answer's header](voting.md#what-an-answer-says); `source="none"` had no answer. Seconds are seconds, tokens completion tokens.

**The consistency rate** is `same` / all of `scg_pairs_total`, and the one to look at is `spread="apart"`: samples of one question that were taken seconds or more apart (`measure`, `recheck`). Samples sent together share a batch and agree with each other more often than with tomorrow's: read them as an upper bound.

{table}"""


def settings_page() -> str:
    """docs/settings.md."""
    schema = json.loads(json_schema())
    sections = schema["$defs"]
    parts = {name: ref for name, about in schema["properties"].items() if (ref := _section_of(about))}
    top = {name: about for name, about in schema["properties"].items() if name not in parts}
    told = [
        f"## `{name}`\n\n{sections[ref]['description']}\n\n{_keys(sections[ref])}\n"
        for name, ref in parts.items()
        if "k" not in sections[ref]["properties"]
    ]
    return _SETTINGS.format(
        made=_MADE,
        top=_keys({"properties": top}),
        sections="\n".join(told),
        choices=_choices(),
        policy=_keys(sections["PolicyDefinition"], _defaults()),
        presets=_presets(),
    )


def metrics_page() -> str:
    """docs/metrics.md."""
    registry = CollectorRegistry()
    Metrics(registry)
    families = [each for each in registry._collector_to_names if isinstance(each, Family)]  # noqa: SLF001  no other way
    rows = [
        (
            f"`{_exported(each)}`",
            _kind(each),
            ", ".join(f"`{label}`" for label in each.label_names),
            each.text,
        )
        for each in families
    ]
    return _METRICS.format(made=_MADE, table=_table(("name", "kind", "labels", "what"), rows))


def _section_of(about: Mapping[str, Any]) -> str:
    """The definition that a key's value, its items or its members have; "" for a plain one."""
    inner = about.get("items") or about.get("additionalProperties") or about
    inner = next(iter(about.get("patternProperties", {}).values()), inner)
    return str(inner["$ref"]).rpartition("/")[2] if isinstance(inner, dict) and "$ref" in inner else ""


def _keys(section: Mapping[str, Any], defaults: Mapping[str, str] | None = None) -> str:
    required = section.get("required", ())
    rows = []
    for name, about in section["properties"].items():
        usual = (defaults or {}).get(name, _spell(about.get("default")))
        default = "*needed*" if name in required else f"`{usual}`" if usual else ""
        rows.append((f"`{name}`", _values(about), default, about.get("description", "")))
    return _table(("key", "values", "default", "what"), rows)


def _values(about: Mapping[str, Any]) -> str:
    """What can be set, in few words."""
    choices = [each for each in about.get("anyOf", [about]) if each.get("type") != "null"]
    return " or ".join(filter(None, map(_choice, choices)))


def _choice(about: Mapping[str, Any]) -> str:
    if "enum" in about:
        words = [each for each in about["enum"] if not isinstance(each, bool)]
        return ", ".join(f"`{each}`" for each in words)
    pattern, kind = str(about.get("pattern", "")), str(about.get("type", ""))
    spelt = next((spelt for part, spelt in _PATTERNS.items() if part in pattern), "")
    return spelt or {"array": "list", "object": "mapping"}.get(kind, kind)


def _choices() -> str:
    """What a request may choose, in words."""
    *most, last = (f"`{name}`" + (" (but no `regex:`)" if name == "answer" else "") for name in CHOICES)
    return f"{', '.join(most)} and {last}"


def _defaults() -> dict[str, str]:
    return {field.name: _spell_field(field.name, getattr(Policy(), field.name)) for field in fields(Policy)}


def _presets() -> str:
    usual = Policy()
    names = [
        field.name
        for field in fields(Policy)
        if field.name != "name"
        and any(getattr(each, field.name) != getattr(usual, field.name) for each in PRESETS.values())
    ]
    rows = [
        (
            f"`{field}`",
            *(
                ""
                if getattr(each, field) == getattr(usual, field)
                else _spell_field(field, getattr(each, field))
                for each in PRESETS.values()
            ),
        )
        for field in ("k", *(name for name in names if name != "k"))
    ]
    return _table(("field", *(f"`{name}`" for name in PRESETS)), rows)


def _spell_field(field: str, value: object) -> str:
    if field in {"sample_timeout", "deadline", "ttl"} and isinstance(value, float):
        return format_duration(value)
    return "off" if field == "accept_margin" and value is None else _spell(value)


def _spell(value: object) -> str:
    if value is None or value in ([], {}, ""):
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _exported(family: Family[Any]) -> str:
    return family.name + ("_total" if isinstance(family, Counter) else "")


def _kind(family: Family[Any]) -> str:
    if isinstance(family, Counter):
        return "counter"
    return "histogram" if isinstance(family, Histogram) else "gauge"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


PAGES = {"settings.md": settings_page, "metrics.md": metrics_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
