"""Which policy a request is answered under: its route's, changed by its headers and its body."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from gateway.core.answer.rules import REGEX
from gateway.core.policy import Policy, refuse_beyond
from gateway.core.policy_fields import CHOICES, PolicyError
from gateway.errors import BadRequest
from gateway.extraction.installed import missing
from gateway.memo import remembered
from gateway.settings.model import Settings
from gateway.wire.headers import TOLD

_OURS = "x-consistency-"
HEADERS = {f"{_OURS}{choice.replace('_', '-')}": choice for choice in CHOICES}


def policy_for(settings: Settings, model: str, headers: Mapping[str, str], member: object) -> Policy:
    """The policy; BadRequest names the header or member that cannot be taken. Body beats header."""
    base = _of_route(settings, model)
    changes = {
        choice: (headers[name], name) for name, choice in HEADERS.items() if name in headers
    } | _from_body(member)
    if not changes:
        return base
    name, chosen_by = changes.pop("policy", (base.name, f"policy {base.name}"))
    if name != base.name:
        base = _named(settings, name, chosen_by)
    return _changed(settings, base, changes, chosen_by)


def refuse_unheard(fields: Iterable[tuple[str, str]]) -> None:
    """BadRequest for a field that reads like a choice and would not be heard. Names in lower case.

    That is one that is misspelt, and a choice that is there twice: of `min-agreement: 0.9` nobody should believe that
    it holds when it does not.
    """
    met = set()
    for name, _ in fields:
        if not name.startswith(_OURS):
            continue
        if name not in HEADERS and name.removeprefix(_OURS) not in TOLD:
            raise BadRequest(f"{name} is not known; known: {', '.join(HEADERS)}", param=name)
        if name in HEADERS and name in met:
            raise BadRequest(f"{name} is there more than once", param=name)
        met.add(name)


def _of_route(settings: Settings, model: str) -> Policy:
    for route in settings.routes:
        if fnmatchcase(model, route.model_pattern):
            return route.policy
    return settings.default_policy


def _from_body(member: object) -> dict[str, tuple[object, str]]:
    """Choice by choice: its value, and what an error calls it."""
    if member is None:
        return {}
    if not isinstance(member, dict):
        raise BadRequest("consistency must be an object", param="consistency")
    for name in member:
        if name not in CHOICES:
            raise BadRequest(
                f"consistency.{name} is not known; known: {', '.join(CHOICES)}", param=f"consistency.{name}"
            )
    return {name: (value, f"consistency.{name}") for name, value in member.items()}


def _named(settings: Settings, name: object, where: str) -> Policy:
    policy = settings.policies.get(name) if isinstance(name, str) else None
    if policy is None:
        raise BadRequest(
            f"{where}: no policy {name!r}; known: {', '.join(sorted(settings.policies))}", param=where
        )
    return policy


def _changed(
    settings: Settings, base: Policy, changes: dict[str, tuple[object, str]], chosen_by: str
) -> Policy:
    """The base with these changes; what is wrong with a field that was not changed is the base's fault."""

    def where(field: str) -> str:
        return changes[field][1] if field in changes else chosen_by

    _refuse_answer(changes)
    try:
        made = base.override({choice: value for choice, (value, _) in changes.items()})
        has_reference = any(upstream.lane == "reference" for upstream in settings.upstreams)
        refuse_beyond(made, settings.limits.max_k, has_reference=has_reference)
    except PolicyError as error:
        subject = "" if error.field in changes else f" {base.name}: {error.field}"
        raise BadRequest(f"{where(error.field)}:{subject} {error}", param=where(error.field)) from error
    return made


def _refuse_answer(changes: Mapping[str, tuple[object, str]]) -> None:
    """A pattern is refused before anybody compiles it; a rule whose library is not there, before it is used."""
    answer, where = changes.get("answer", ("", ""))
    if not isinstance(answer, str):
        return
    if answer.startswith(REGEX):
        raise BadRequest(f"{where}: regex answers are for the configuration only", param=where)
    if needed := missing(answer):
        raise BadRequest(f"{where}: {needed}", param=where)


@remembered(1024)
def directives(cache_control: str) -> frozenset[str]:
    """The directives of a Cache-Control field that matter here (RFC 9111, section 5.2.1)."""
    words = {word.strip().lower() for word in cache_control.split(",")}
    return frozenset(words & {"no-cache", "no-store", "only-if-cached"})
