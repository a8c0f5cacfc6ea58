"""The environment as a source of settings: `SCG_`, and the path to a key with `__` between its parts.

pydantic-settings replaces a list where a variable names a position in it; here SCG_UPSTREAMS__0__URL changes
one key of the file's first upstream, and the position after the last one adds another. So the file is read
first, and a list that the environment touches starts out as a copy of the file's.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from gateway.settings.errors import Problem
from gateway.settings.paths import Gap, Path, UnknownKey, locate, put
from gateway.settings.spelling import ADMIN_KEY, CLIENT_KEY, guess, spell_key
from gateway.settings.yaml_file import parse_yaml

URL, API_KEY, CONFIG = "SCG_UPSTREAM_URL", "SCG_UPSTREAM_API_KEY", "SCG_CONFIG"

_PREFIX = "SCG_"
_SHORT = {name.removeprefix(_PREFIX).lower() for name in (URL, API_KEY, CONFIG)}
_MOST_WORDS = 9  # of a name that is worth repairing: the attempts double with each

# What Kubernetes tells every pod of a service `scg`, and of `scg-redis` and the like beside it.
_OF_KUBERNETES = re.compile(
    r"SCG_(SERVICE|PORT)_\w+|SCG_\w+_SERVICE_(HOST|PORT)(_\w+)?|SCG_\w+_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?"
)
_SERVICE_PORT = re.compile(r"SCG_(\w+_)?PORT")
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://")


@dataclass(slots=True)
class Environment:
    """What the environment says: a tree like the file's, who gave which key, and what is wrong with it."""

    tree: dict[str, Any] = field(default_factory=dict)
    origins: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_environment(
    environ: Mapping[str, str], file: Mapping[str, Any], *, url_by_flag: bool = False
) -> Environment:
    """The `SCG_` variables as settings. An empty variable counts as absent: compose files pass them on."""
    found = Environment()
    variables = {name: value for name, value in environ.items() if name.startswith(_PREFIX) and value.strip()}
    _leave_to_kubernetes(variables, found)
    for elsewhere in (CONFIG, ADMIN_KEY, CLIENT_KEY):
        variables.pop(elsewhere, None)
    _take_upstream_url(variables, found, url_by_flag=url_by_flag)
    places: list[tuple[Path, bool, str]] = []
    for name in variables:
        try:
            places.append((*locate(_parts(name), file), name))
        except UnknownKey as error:
            found.problems.append(Problem(name, f"no such setting; {_meant(name, error, file)}"))
    # Wholes come before their parts, and positions in order, so that each finds the one before it.
    for path, is_leaf, name in sorted(places, key=lambda place: [str(part).zfill(9) for part in place[0]]):
        try:
            value = variables[name] if is_leaf else _structure(variables[name])
            put(found.tree, path, value, file)
        except (Gap, ValueError) as error:
            found.problems.append(Problem(name, _refusal(error)))
        found.origins[path] = f"from {name}"
    return found


def _parts(name: str) -> list[str]:
    return name.removeprefix(_PREFIX).split("__")


def _refusal(error: Exception) -> str:
    if isinstance(error, Gap):
        return f"there is no {spell_key(error.path)} before it; positions count from 0, without gaps"
    return str(error)


def _structure(value: str) -> Any:
    """A whole list or mapping in one variable, as JSON or YAML; plain words are left to the field."""
    return parse_yaml(value) if value.lstrip()[:1] in {"[", "{"} else value


def _leave_to_kubernetes(variables: dict[str, str], found: Environment) -> None:
    ignored = sorted(
        name for name, value in variables.items() if "__" not in name and _is_injected(name, value)
    )
    for name in ignored:
        del variables[name]
    if ignored:
        told = "set by Kubernetes for a service of that name (enableServiceLinks: false stops it)"
        found.warnings.append(f"ignored {', '.join(ignored)}: {told}")


def _is_injected(name: str, value: str) -> bool:
    if _OF_KUBERNETES.fullmatch(name):
        return True
    return bool(_SERVICE_PORT.fullmatch(name) and _SERVICE_URL.match(value))


def _take_upstream_url(variables: dict[str, str], found: Environment, *, url_by_flag: bool) -> None:
    """The short way to one upstream; it stands for the whole list of them."""
    url, api_key = variables.pop(URL, None), variables.pop(API_KEY, None)
    if url is None:
        if api_key is not None and not url_by_flag:
            found.problems.append(
                Problem(API_KEY, f"goes with {URL} only; else use SCG_UPSTREAMS__0__API_KEY")
            )
        return
    if long := sorted(name for name in variables if name.split("__")[0] == "SCG_UPSTREAMS"):
        found.problems.append(
            Problem(URL, f"means the only upstream, but {long[0]} is set too; keep one of them")
        )
    given = {"url": url} | ({"api_key": api_key} if api_key else {})
    put(found.tree, ("upstreams",), [given], {})
    found.origins[("upstreams",)] = f"from {URL}"
    if api_key:
        found.origins[("upstreams", 0, "api_key")] = f"from {API_KEY}"


def _meant(name: str, error: UnknownKey, file: Mapping[str, Any]) -> str:
    """What the variable should probably have been called."""
    for candidate in _with_more_underscores(name.removeprefix(_PREFIX)):
        try:
            locate(candidate.split("__"), file)
        except UnknownKey:
            continue
        return f"did you mean {_PREFIX}{candidate}?"
    known = {*error.known, *_SHORT} if not error.path else set(error.known)
    spelled = {key: _PREFIX + "__".join(map(str, (*error.path, key))).upper() for key in known}
    return guess(error.name, spelled) or f"{_PREFIX}{'__'.join(map(str, error.path)).upper()} has no parts"


def _with_more_underscores(name: str) -> Iterator[str]:
    """SCG_CACHE_URL and SCG_UPSTREAMS_0_MAX_IN_FLIGHT are the likeliest slips; the shortest repair comes first."""
    words = re.split("(?<!_)_(?!_)", name)
    if len(words) <= _MOST_WORDS:
        for joints in sorted(
            product(("_", "__"), repeat=len(words) - 1), key=lambda joints: joints.count("__")
        ):
            yield "".join(word + joint for word, joint in zip(words, (*joints, ""), strict=True))
