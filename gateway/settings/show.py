"""The effective configuration as YAML that the gateway would take again, without the secrets."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import yaml

from gateway.core.policy import PRESETS, Policy
from gateway.core.units import format_duration
from gateway.settings.model import (
    HealthSettings,
    KeySettings,
    RetrySettings,
    Settings,
    Timeouts,
    UpstreamSettings,
)
from gateway.settings.sources import Origins
from gateway.settings.spelling import MASK, format_size, mask_url

_DURATIONS = frozenset({"sample_timeout", "deadline", "ttl"})


def show(settings: Settings, origins: Origins) -> str:
    """One key after the other, each with a comment that says who gave it."""
    return "".join(_section(key, value, _given_by(key, origins)) for key, value in _tree(settings).items())


def _given_by(key: str, origins: Origins) -> list[str]:
    if key == "keys" and origins.of(("keys_file",)):
        return [*(each for each in origins.below(key) if each != "default"), "in the file of keys_file"]
    return origins.below(key)


def _section(key: str, value: Any, given_by: list[str]) -> str:
    text = yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True, width=1000)
    first, rest = text.split("\n", 1)
    return f"{first}  # {', '.join(given_by)}\n{rest}"


def _tree(settings: Settings) -> dict[str, Any]:
    cache, limits = settings.cache, settings.limits
    own = {name: policy for name, policy in settings.policies.items() if PRESETS.get(name) != policy}
    return {
        "host": settings.host,
        "port": settings.port,
        "upstreams": [_upstream(upstream) for upstream in settings.upstreams],
        "cache": {
            "url": mask_url(cache.url),
            "ttl": format_duration(cache.ttl),
            "memory": format_size(cache.memory),
            "timeout": format_duration(cache.timeout),
            "prefix": cache.prefix,
        }
        | ({"ca_file": cache.ca_file} if cache.ca_file else {}),
        "vote": {"policy": settings.default_policy.name} | _policy(settings.default_policy),
        "policies": {name: _policy(policy) for name, policy in own.items()},
        "routes": [{"model": route.model_pattern, "policy": route.policy.name} for route in settings.routes],
        "timeouts": _durations(settings.timeouts),
        "health": _durations(settings.health),
        "breaker": {
            "failures": settings.breaker.failures,
            "cooldown": format_duration(settings.breaker.cooldown),
        },
        "retries": _retries(settings.retries),
        "limits": {field.name: getattr(limits, field.name) for field in fields(limits)}
        | {"max_body": format_size(limits.max_body)},
        "keys": [_key(key) for key in settings.keys],
        "page": settings.page,
        "workers": settings.workers,
        "drain": {
            "delay": format_duration(settings.drain.delay),
            "timeout": format_duration(settings.drain.timeout),
        },
        "ledger": {field.name: getattr(settings.ledger, field.name) for field in fields(settings.ledger)},
        "log": {field.name: getattr(settings.log, field.name) for field in fields(settings.log)},
    }


def _durations(section: Timeouts | HealthSettings) -> dict[str, str]:
    return {field.name: format_duration(getattr(section, field.name)) for field in fields(section)}


def _retries(retries: RetrySettings) -> dict[str, Any]:
    return {
        "limit": retries.limit,
        "budget": retries.budget,
        "backoff": format_duration(retries.backoff),
        "max_wait": format_duration(retries.max_wait),
        "hedge": "off" if retries.hedge is None else format_duration(retries.hedge),
    }


def _upstream(upstream: UpstreamSettings) -> dict[str, Any]:
    keys = [field.name for field in fields(upstream) if field.name != "ca_digest"]
    shown = {key: getattr(upstream, key) for key in keys} | {
        "models": list(upstream.models),
        "api_key": MASK if upstream.api_key else None,
        "headers": {name: MASK for name, _ in upstream.headers},
    }
    return _given({"name": upstream.name} | shown)


def _key(key: KeySettings) -> dict[str, Any]:
    return _given({field.name: getattr(key, field.name) for field in fields(key)} | {"sha256": MASK})


def _policy(policy: Policy) -> dict[str, Any]:
    shown = {field.name: getattr(policy, field.name) for field in fields(policy) if field.name != "name"}
    for name in _DURATIONS:
        shown[name] = None if shown[name] is None else format_duration(shown[name])
    return _given(shown)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
