"""The short way to settings, against the whole one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as run_with
from hypothesis import strategies as st

from gateway.settings.checked import load_with_origins
from gateway.settings.errors import ConfigError
from gateway.settings.loader import load
from gateway.settings.model import Settings

_HOSTS = st.sampled_from(["0.0.0.0", " ::1 ", "", "  "])
_PORTS = st.sampled_from(["0", " 9000 ", "65536", "x", "", "tcp://10.0.0.1:80"])
_URLS = st.sampled_from(["http://llm:8000", "https://llm/v1/", "llm:8000", "", " "])
_KEYS = st.sampled_from(["secret", " secret ", "geheim\u00e4", "", " "])

environments = st.fixed_dictionaries(
    {},
    optional={
        "SCG_HOST": _HOSTS,
        "SCG_PORT": _PORTS,
        "SCG_UPSTREAM_URL": _URLS,
        "SCG_UPSTREAM_API_KEY": _KEYS,
        "SCG_upstream_url": _URLS,
        "SCG_Port": _PORTS,
        "SCG_VOTE__K": st.just("5"),
        "SCG_SERVICE_HOST": st.just("10.0.0.1"),
        "PORT": st.just("1"),
    },
)
flags = st.fixed_dictionaries(
    {},
    optional={
        "host": st.none() | _HOSTS,
        "port": st.none() | _PORTS,
        "upstream_url": st.none() | _URLS,
    },
)


def outcome(load_them: Callable[[], Settings]) -> Settings | str:
    """What comes of it: settings, or the lines that say why there are none."""
    try:
        return load_them()
    except ConfigError as error:
        return str(error)


@run_with(max_examples=300)
@given(flags, environments)
def test_both_ways_say_the_same(given_flags: dict[str, str | None], environ: dict[str, str]) -> None:
    """Whatever the flags and variables: the same settings, or the same lines about what is wrong."""
    expected = outcome(lambda: load_with_origins(given_flags, environ, None).settings)
    assert expected == outcome(lambda: load(given_flags, environ, None))


@pytest.mark.parametrize("by", ["flag", "variable"])
def test_a_file_is_never_overlooked(tmp_path: Path, by: str) -> None:
    """With a file, what it says counts, however little else is given."""
    file = tmp_path / "scg.yaml"
    file.write_text("vote: {k: 5}")
    environ = {"SCG_UPSTREAM_URL": "http://llm"} | ({"SCG_CONFIG": str(file)} if by == "variable" else {})
    assert load({}, environ, file if by == "flag" else None).default_policy.k == 5
