"""The frozen settings from a configuration whose values are right one by one: what they must be together."""

import ssl
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gateway.core.policy import Policy, known, named_policies, refuse_beyond
from gateway.core.policy_fields import PolicyError
from gateway.extraction.installed import missing
from gateway.settings.cache_url import read_cache_url
from gateway.settings.errors import ConfigError, Problem
from gateway.settings.keys import build_keys
from gateway.settings.model import (
    BreakerSettings,
    CacheSettings,
    DrainSettings,
    HealthSettings,
    KeySettings,
    LedgerSettings,
    Limits,
    LogSettings,
    RetrySettings,
    Route,
    Settings,
    Timeouts,
    UpstreamSettings,
)
from gateway.settings.paths import Path as KeyPath
from gateway.settings.schema import ConfigFile, UpstreamSection
from gateway.settings.sources import Origins
from gateway.settings.spelling import spell_key

_NO_UPSTREAM = (
    "there is none; set SCG_UPSTREAM_URL=http://host:8000, or list them under `upstreams:` "
    "in the file that --config or SCG_CONFIG names"
)


def build(given: ConfigFile, origins: Origins, warnings: tuple[str, ...]) -> Settings:
    """The settings; ConfigError if keys contradict each other."""
    return _Builder(given, origins).settings(warnings)


class _Builder:
    """Collects problems on the way, so that the user sees all of them at once."""

    def __init__(self, given: ConfigFile, origins: Origins) -> None:
        self.given = given
        self.origins = origins
        self.problems: list[Problem] = []

    def settings(self, warnings: tuple[str, ...]) -> Settings:
        given = self.given
        upstreams = self._upstreams()
        cache = self._cache()
        policies = self._policies()
        default_policy = self._default_policy(policies)
        routes = tuple(self._route(position, policies) for position in range(len(given.routes)))
        keys = self._keys()
        self._check_workers()
        self._check_ledger()
        if self.problems:
            raise ConfigError(*self.problems)
        return Settings(
            upstreams=upstreams,
            host=given.host,
            port=given.port,
            cache=cache,
            policies=MappingProxyType(policies),
            default_policy=default_policy,
            routes=routes,
            timeouts=Timeouts(**dict(given.timeouts)),
            health=HealthSettings(**dict(given.health)),
            breaker=BreakerSettings(**dict(given.breaker)),
            retries=RetrySettings(**dict(given.retries)),
            limits=Limits(**dict(given.limits)),
            keys=keys,
            page=given.page,
            workers=given.workers,
            drain=DrainSettings(**dict(given.drain)),
            ledger=LedgerSettings(**dict(given.ledger)),
            log=LogSettings(**dict(given.log)),
            warnings=warnings,
        )

    def _refuse(self, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(spell_key(path), message, self.origins.of(path)))

    def _check_workers(self) -> None:
        """Workers that do not share their pins would give two clients two answers."""
        if self.given.workers > 1 and self.given.cache.url.get_secret_value().startswith("memory:"):
            self._refuse(
                ("workers",),
                f"{self.given.workers} need a cache that they share, as each would pin answers of its own; "
                "set cache.url to redis://…, or use 1",
            )

    def _check_ledger(self) -> None:
        """A ledger in this process's memory would be none."""
        if self.given.ledger.stream and self.given.cache.url.get_secret_value().startswith("memory:"):
            self._refuse(
                ("ledger", "stream"), "on needs Redis to append to; set cache.url to redis://…, or use off"
            )

    def _cache(self) -> CacheSettings:
        section = self.given.cache
        made = CacheSettings(**dict(section) | {"url": section.url.get_secret_value()})
        url = read_cache_url(made.url)
        for file in url.tls_files:
            self._read(("cache", "url"), file)
        if made.ca_file is not None:
            self._read(("cache", "ca_file"), made.ca_file)
            if not url.is_tls:
                self._refuse(("cache", "ca_file"), "is for rediss:// only")
        return made

    def _upstreams(self) -> tuple[UpstreamSettings, ...]:
        if not self.given.upstreams:
            self._refuse(("upstreams",), _NO_UPSTREAM)
        made = tuple(self._upstream(*numbered) for numbered in enumerate(self.given.upstreams))
        counted = Counter(upstream.name for upstream in made)
        for position, upstream in enumerate(made):
            if counted[upstream.name] > 1:
                self._refuse(("upstreams", position, "name"), f"{upstream.name!r} is there more than once")
        return made

    def _upstream(self, position: int, section: UpstreamSection) -> UpstreamSettings:
        return UpstreamSettings(
            url=section.url,
            name=section.name or f"upstream-{position + 1}",
            engine=section.engine,
            lane=section.lane,
            models=tuple(section.models),
            weight=section.weight,
            max_in_flight=section.max_in_flight,
            api_key=self._api_key(("upstreams", position), section),
            headers=tuple((name, value.get_secret_value()) for name, value in section.headers.items()),
            ca_file=section.ca_file,
            ca_digest=self._ca_digest(("upstreams", position, "ca_file"), section.ca_file),
            trust=section.trust,
            revision=section.revision,
        )

    def _api_key(self, upstream: KeyPath, section: UpstreamSection) -> str | None:
        if section.api_key is not None and section.api_key_file is not None:
            self._refuse((*upstream, "api_key_file"), "there is an api_key too; keep one of them")
        if section.api_key_file is None:
            return section.api_key.get_secret_value() if section.api_key else None
        key = self._read((*upstream, "api_key_file"), section.api_key_file).strip()
        if not key.isascii() or not key.isprintable():
            self._refuse((*upstream, "api_key_file"), "expected one line of printable ASCII in the file")
        return key

    def _ca_digest(self, path: KeyPath, file: str | None) -> str:
        """Of certificates that TLS takes; "" where none are named."""
        content = self._read(path, file) if file is not None else ""
        if content.strip():
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content)
            except (ssl.SSLError, ValueError):
                self._refuse(path, f"{file} has no certificates that can be read; expected PEM")
        return sha256(content.encode()).hexdigest()[:16] if content else ""

    def _keys(self) -> tuple[KeySettings, ...]:
        try:
            return build_keys(self.given.keys, self.given.keys_file, self.origins)
        except ConfigError as error:
            self.problems += error.problems
            return ()

    def _read(self, path: KeyPath, file: str) -> str:
        try:
            content = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            told = error.strerror if isinstance(error, OSError) else "not a text file"
            self._refuse(path, f"cannot read {file}: {told}")
            return ""
        if not content.strip():
            self._refuse(path, f"{file} is empty")
        return content

    def _policies(self) -> dict[str, Policy]:
        """The presets and the configured ones; only the presets where there is a problem."""
        definitions = {
            name: definition.model_dump(exclude_unset=True)
            for name, definition in self.given.policies.items()
        }
        try:
            policies = named_policies(definitions)
        except PolicyError as error:
            name, field = error.field.rsplit(".", 1)
            self._refuse_policy(
                ("policies", name), "extends", definitions[name], PolicyError(field, str(error))
            )
            return {}
        for name, changes in definitions.items():
            self._check(("policies", name), "extends", changes, policies[name])
        return policies

    def _default_policy(self, policies: Mapping[str, Policy]) -> Policy:
        changes = self.given.vote.model_dump(exclude_unset=True)
        changes.pop("policy", None)
        return self._policy(("vote",), self.given.vote.policy, changes, policies)

    def _route(self, position: int, policies: Mapping[str, Policy]) -> Route:
        route = self.given.routes[position]
        return Route(route.model, self._policy(("routes", position), route.policy, {}, policies))

    def _policy(
        self, path: KeyPath, name: str, changes: Mapping[str, Any], policies: Mapping[str, Policy]
    ) -> Policy:
        """The named policy with changes; one that will not be used where there is a problem."""
        if not policies:
            return Policy()
        if name not in policies:
            self._refuse((*path, "policy"), f"no policy {name!r}; known: {known(policies)}")
            return Policy()
        try:
            policy = policies[name].override(changes)
        except PolicyError as error:
            self._refuse_policy(path, "policy", changes, error)
            return Policy()
        self._check(path, "policy", changes, policy)
        return policy

    def _refuse_policy(
        self, path: KeyPath, base: str, changes: Mapping[str, Any], error: PolicyError
    ) -> None:
        """Blame the field where the user wrote it, else the policy that it comes from."""
        if error.field in changes or error.field == base:
            self._refuse((*path, error.field), str(error))
        else:
            self._refuse((*path, base), f"its {error.field} is refused: {error}")

    def _check(self, path: KeyPath, base: str, changes: Mapping[str, Any], policy: Policy) -> None:
        """What a policy needs of the rest of the configuration, and of the machine."""
        if needed := missing(policy.answer):
            self._refuse_policy(path, base, changes, PolicyError("answer", needed))
        has_reference = any(upstream.lane == "reference" for upstream in self.given.upstreams)
        try:
            refuse_beyond(policy, self.given.limits.max_k, has_reference=has_reference)
        except PolicyError as error:
            self._refuse_policy(path, base, changes, error)
