"""Flags over environment over file over defaults, key by key."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as run_with
from hypothesis import strategies as st

from gateway.settings.loader import load
from tests.settings.loading import URL, complaints, settings

KeyPath = tuple[str | int, ...]

_DURATIONS = st.sampled_from(["250ms", "3s", "5m", "2h", "7d"])
_COUNTS = st.integers(1, 16)
_SWITCHES = st.booleans()

# Keys of every kind and depth, with values that are right by themselves and together.
KEYS: Mapping[KeyPath, st.SearchStrategy[Any]] = {
    ("host",): st.sampled_from(["0.0.0.0", "localhost", "::1"]),
    ("port",): st.integers(0, 65535),
    ("page",): _SWITCHES,
    ("cache", "ttl"): _DURATIONS,
    ("cache", "memory"): st.sampled_from(["0", "64MiB", "1GB", "512"]),
    ("timeouts", "idle"): _DURATIONS,
    ("health", "interval"): _DURATIONS,
    ("breaker", "failures"): _COUNTS,
    ("retries", "hedge"): st.one_of(_DURATIONS, st.sampled_from([False, "off"])),
    ("retries", "budget"): st.sampled_from([0, 0.25, 1]),
    ("limits", "max_in_flight"): _COUNTS,
    ("vote", "k"): _COUNTS,
    ("vote", "cache"): _SWITCHES,
    ("policies", "invoices", "k"): _COUNTS,
    ("policies", "invoices", "when"): st.sampled_from(["always", "deterministic"]),
    ("upstreams", 0, "revision"): st.sampled_from(["a", "b"]),
    ("upstreams", 0, "max_in_flight"): _COUNTS,
    ("upstreams", 1, "url"): st.sampled_from(["http://x", "https://y:1/v1"]),
    ("upstreams", 1, "weight"): st.sampled_from([0.5, 2]),
    ("upstreams", 1, "headers", "x-org"): st.sampled_from(["a", "b"]),
    ("upstreams", 1, "models", 0): st.sampled_from(["m", "n"]),
}
BASE: Mapping[KeyPath, Any] = {("upstreams", 0, "url"): "http://a", ("upstreams", 1, "url"): "http://b"}
Given = Mapping[KeyPath, Any]

some_keys = st.fixed_dictionaries({}, optional=dict(KEYS))


def tree_of(given: Given) -> dict[str, Any]:
    """The keys as the file nests them; positions are given without gaps."""
    tree: dict[str, Any] = {}
    for path, value in sorted(given.items(), key=lambda item: [str(part) for part in item[0]]):
        node: Any = tree
        for part, after in pairwise(path):
            fresh: Any = [] if isinstance(after, int) else {}
            if isinstance(node, list) and part == len(node):
                node.append(fresh)
            node = node.setdefault(part, fresh) if isinstance(node, dict) else node[part]
        if isinstance(node, list):
            node.append(value)
        else:
            node[path[-1]] = value
    return tree


def variables_of(given: Given) -> dict[str, str]:
    return {
        "SCG_" + "__".join(map(str, path)).replace("-", "_").upper(): spell(value)
        for path, value in given.items()
    }


def spell(value: object) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


@run_with(max_examples=50)
@given(file=some_keys, environment=some_keys)
def test_a_variable_is_the_same_key_in_the_file(file: Given, environment: Given) -> None:
    """For every key: setting its variable over a file is the same as writing its value into the file."""
    over_file = settings(yaml.safe_dump(tree_of({**BASE, **file})), variables_of(environment))
    assert settings(yaml.safe_dump(tree_of({**BASE, **file, **environment}))) == over_file


@run_with(max_examples=50)
@given(given_keys=some_keys)
def test_the_environment_can_do_without_a_file(given_keys: Given) -> None:
    """Every key, the parts of lists too, can be given by variables alone."""
    everything = {**BASE, **given_keys}
    assert settings(yaml.safe_dump(tree_of(everything))) == settings(environ=variables_of(everything))


@run_with(max_examples=30)
@given(st.tuples(*[st.none() | st.integers(1, 65535)] * 3))
def test_the_nearest_source_wins(ports: tuple[int | None, int | None, int | None]) -> None:
    """A flag beats the variable, which beats the file, which beats the default."""
    flag, variable, file = ports
    expected = next((port for port in (flag, variable, file) if port is not None), 8080)
    text = None if file is None else f"port: {file}"
    environ = URL if variable is None else URL | {"SCG_PORT": str(variable)}
    assert settings(text, environ, port=flag).port == expected


@pytest.mark.parametrize("url", ["http://flag:1", "http://flag:1/v1"])
def test_the_url_flag_is_the_only_upstream(url: str) -> None:
    """--upstream-url stands for the whole list, whatever the environment and the file have."""
    environ = {"SCG_UPSTREAMS__0__URL": "http://variable", "SCG_UPSTREAM_API_KEY": "secret"}
    made = settings(
        "upstreams: [{url: http://file, revision: r}, {url: http://two}]", environ, upstream_url=url
    )
    assert [("http://flag:1", "secret", None)] == [(u.url, u.api_key, u.revision) for u in made.upstreams]


def test_the_url_variable_is_the_only_upstream() -> None:
    """SCG_UPSTREAM_URL beats the file's list as a whole."""
    made = settings("upstreams: [{url: http://file, name: a}, {url: http://two}]", URL)
    assert [("upstream-1", "http://llm:8000")] == [(u.name, u.url) for u in made.upstreams]


def test_scg_config_names_the_file_unless_a_flag_does(tmp_path: Path) -> None:
    """The file of --config is read instead of that of SCG_CONFIG."""
    for name, port in (("one.yaml", 1), ("two.yaml", 2)):
        (tmp_path / name).write_text(f"port: {port}")
    environ = URL | {"SCG_CONFIG": str(tmp_path / "one.yaml")}
    assert load({}, environ, None).port == 1
    assert load({}, environ, tmp_path / "two.yaml").port == 2


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A file that was named but cannot be read is no reason to go on with defaults."""
    missing = tmp_path / "none.yaml"
    assert complaints(environ=URL | {"SCG_CONFIG": str(missing)}) == [
        f"config: cannot read {missing}: No such file or directory"
    ]
