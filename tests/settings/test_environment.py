"""Variables: how they are named, which are unknown, which are Kubernetes'."""

from collections.abc import Iterator
from typing import Any, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from gateway.settings.paths import _bare, locate
from gateway.settings.schema import ConfigFile
from tests.settings.loading import URL, complaints, settings

FILE = """
upstreams:
  - {name: a, url: http://a, models: [x, y], headers: {X-Org-Id: one}}
  - {name: b, url: http://b}
policies:
  my-Policy.v1: {k: 2}
"""


def leaves(kind: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every path to a single value, with a position for each list and a name for each mapping."""
    kind = _bare(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            yield from leaves(field.annotation, (*path, name))
    elif get_origin(kind) is list:
        yield from leaves(kind.__args__[0], (*path, "0"))
    elif get_origin(kind) is dict:
        yield from leaves(kind.__args__[1], (*path, "own"))
    else:
        yield path


LEAVES = tuple(leaves(ConfigFile))


@given(st.sampled_from(LEAVES), st.data())
def test_every_key_is_found_in_any_case(path: tuple[str, ...], data: st.DataObject) -> None:
    """The parts of every key's variable, in upper, lower or mixed case, lead back to the key."""
    parts = [data.draw(st.sampled_from([part, part.upper(), part.title()])) for part in path]
    found, is_leaf = locate(parts, {})
    assert (path, True) == (tuple(map(str, found)), is_leaf)


def test_there_are_keys_to_find() -> None:
    """The test above walks all of the configuration."""
    assert {("port",), ("upstreams", "0", "models", "0"), ("policies", "own", "extends")} <= set(LEAVES)
    assert len(LEAVES) > 80


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SCG_UPSTREAMS__1__URL": "http://c/v1"}, [("a", "http://a"), ("b", "http://c")]),
        (
            {"SCG_UPSTREAMS__2__URL": "http://c"},
            [("a", "http://a"), ("b", "http://b"), ("upstream-3", "http://c")],
        ),
        (
            {"SCG_UPSTREAMS__3__URL": "http://d", "SCG_UPSTREAMS__2__URL": "http://c"},
            [("a", "http://a"), ("b", "http://b"), ("upstream-3", "http://c"), ("upstream-4", "http://d")],
        ),
        ({"SCG_UPSTREAMS": '[{"url": "http://c"}]'}, [("upstream-1", "http://c")]),
        (
            {
                "SCG_UPSTREAMS": "[{url: http://c}]",
                "SCG_UPSTREAMS__0__NAME": "c",
                "SCG_UPSTREAMS__1__URL": "http://d",
            },
            [("c", "http://c"), ("upstream-2", "http://d")],
        ),
    ],
)
def test_positions_change_and_extend_the_files_list(
    environ: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    """A position changes keys of the file's upstream, the next adds one, a whole list replaces it."""
    assert expected == [(upstream.name, upstream.url) for upstream in settings(FILE, environ).upstreams]


def test_more_than_ten_positions_count_as_numbers() -> None:
    """Position 10 comes after 9, not after 1."""
    environ = {f"SCG_UPSTREAMS__{position}__URL": f"http://h{position}" for position in range(12)}
    assert [f"http://h{position}" for position in range(12)] == [
        u.url for u in settings(environ=environ).upstreams
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("m", ("m",)), ("m, n", ("m", "n")), ('["m", "n"]', ("m", "n")), ("[]", ())],
)
def test_a_list_of_words_in_one_variable(value: str, expected: tuple[str, ...]) -> None:
    """Models are given with commas, or as JSON."""
    assert expected == settings(FILE, {"SCG_UPSTREAMS__0__MODELS": value}).upstreams[0].models


def test_a_mapping_in_one_variable_is_merged() -> None:
    """A whole section in one variable leaves alone what it does not name."""
    made = settings("cache: {ttl: 1h, memory: 1MiB}", URL | {"SCG_CACHE": "{ttl: 2h}"})
    assert (7200.0, 1 << 20) == (made.cache.ttl, made.cache.memory)


def test_names_that_variables_cannot_spell() -> None:
    """A policy or header of the file is found by its letters; new headers get dashes, new policies lower case."""
    environ = {
        "SCG_POLICIES__MY_POLICY_V1__K": "4",
        "SCG_POLICIES__NEW_ONE__K": "5",
        "SCG_UPSTREAMS__0__HEADERS__X_ORG_ID": "two",
        "SCG_UPSTREAMS__0__HEADERS__X_NEW": "three",
    }
    made = settings(FILE, environ)
    assert (4, 5) == (made.policies["my-Policy.v1"].k, made.policies["new_one"].k)
    assert (("X-Org-Id", "two"), ("x-new", "three")) == made.upstreams[0].headers


def test_an_empty_variable_counts_as_absent() -> None:
    """Compose files pass variables on that nobody has set."""
    environ = URL | {"SCG_PORT": "", "SCG_UPSTREAM_API_KEY": " ", "SCG_VOTE__K": "", "SCG_CONFIG": ""}
    assert settings(environ=environ) == settings(environ=URL)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SCG_PROT", "no such setting; did you mean SCG_PORT?"),
        ("SCG_UPSTREAM_ULR", "no such setting; did you mean SCG_UPSTREAM_URL?"),
        ("SCG_CACHE_URL", "no such setting; did you mean SCG_CACHE__URL?"),
        ("SCG_UPSTREAMS_0_MAX_IN_FLIGHT", "no such setting; did you mean SCG_UPSTREAMS__0__MAX_IN_FLIGHT?"),
        ("SCG_UPSTREAMS_0_URL", "no such setting; did you mean SCG_UPSTREAMS__0__URL?"),
        ("SCG_VOTE__KK", "no such setting; did you mean SCG_VOTE__K?"),
        ("SCG_UPSTREAMS__0__NAEM", "no such setting; did you mean SCG_UPSTREAMS__0__NAME?"),
        ("SCG_UPSTREAMS__A__URL", "no such setting; known: SCG_UPSTREAMS__0"),
        ("SCG_PAGE__SIZE", "no such setting; SCG_PAGE has no parts"),
        ("SCG_POLICIES____K", "no such setting; SCG_POLICIES has no parts"),
        ("SCG_", "no such setting; known: SCG_BREAKER, "),
    ],
)
def test_unknown_variables(name: str, said: str) -> None:
    """An unknown variable is an error that names what was probably meant."""
    (line,) = complaints(FILE, {name: "1"})
    assert line.startswith(f"config: {name}: {said}")


def test_other_programs_variables_are_left_alone() -> None:
    """Only SCG_ is ours."""
    assert settings(environ=URL | {"PORT": "x", "scg_port": "x", "SCGX": "x", "XSCG_PORT": "x"}) == settings(
        environ=URL
    )


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"SCG_UPSTREAMS__2__URL": "http://c"}, "SCG_UPSTREAMS__2__URL: there is no upstreams.0 before it"),
        ({"SCG_UPSTREAMS__0__NAME": "a"}, "upstreams.0.url: is missing (from SCG_UPSTREAMS__0__NAME)"),
        ({"SCG_UPSTREAM_API_KEY": "x"}, "SCG_UPSTREAM_API_KEY: goes with SCG_UPSTREAM_URL only"),
        (
            URL | {"SCG_UPSTREAMS__0__URL": "http://c"},
            "SCG_UPSTREAM_URL: means the only upstream, but SCG_UPSTREAMS__0__URL is set too",
        ),
        (URL | {"SCG_CACHE": "{ttl: 2h"}, "SCG_CACHE: not valid YAML at line 1"),
        (URL | {"SCG_POLICIES__X__K": "many"}, "policies.x.k: expected a whole number of at least 1, got 'many' ("),
        (URL | {"SCG_PORT": "x"}, "port: expected a whole number from 0 to 65535, got 'x' (from SCG_PORT)"),
    ],
)  # fmt: skip
def test_bad_variables(environ: dict[str, str], line: str) -> None:
    """What a variable says wrongly is told with the variable's name."""
    assert any(said.startswith(f"config: {line}") for said in complaints(environ=environ))


KUBERNETES = {
    "SCG_PORT": "tcp://10.0.0.1:8080",
    "SCG_PORT_8080_TCP": "tcp://10.0.0.1:8080",
    "SCG_PORT_8080_TCP_ADDR": "10.0.0.1",
    "SCG_PORT_8080_TCP_PORT": "8080",
    "SCG_PORT_8080_TCP_PROTO": "tcp",
    "SCG_SERVICE_HOST": "10.0.0.1",
    "SCG_SERVICE_PORT": "8080",
    "SCG_SERVICE_PORT_HTTP": "8080",
    "SCG_REDIS_PORT": "tcp://10.0.0.2:6379",
    "SCG_REDIS_PORT_6379_TCP_ADDR": "10.0.0.2",
    "SCG_REDIS_SERVICE_HOST": "10.0.0.2",
    "SCG_REDIS_SERVICE_PORT_REDIS": "6379",
}


def test_what_kubernetes_injects_is_ignored_with_a_warning() -> None:
    """Services named scg, scg-redis and so on change nothing, and one warning names their variables."""
    made = settings(environ=URL | KUBERNETES)
    assert 8080 == made.port
    (warning,) = made.warnings
    assert all(name in warning for name in KUBERNETES)


def test_a_port_that_kubernetes_did_not_inject_is_a_setting() -> None:
    """SCG_PORT is ignored only where it is a service's address."""
    assert 9000 == settings(environ=URL | {"SCG_PORT": "9000"}).port
    assert 9000 == settings("port: 9000", URL | {"SCG_PORT": "tcp://10.0.0.1:1"}).port
