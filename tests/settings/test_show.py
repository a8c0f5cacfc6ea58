"""The effective configuration, shown."""

from collections.abc import Mapping

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as run_with

from gateway.settings.show import show
from tests.settings.loading import URL, loaded, settings
from tests.settings.test_precedence import BASE, Given, some_keys, tree_of


@run_with(max_examples=50)
@given(some_keys)
def test_what_is_shown_can_be_loaded(given_keys: Given) -> None:
    """The output is a configuration with the same meaning, secrets and headers aside."""
    without_headers = {path: value for path, value in given_keys.items() if "headers" not in path}
    made = loaded(yaml.safe_dump(tree_of({**BASE, **without_headers})))
    assert made.settings == settings(show(made.settings, made.origins))


@pytest.mark.parametrize(
    ("key", "environ", "flags", "comment"),
    [
        ("port", {}, {}, "default"),
        ("host", {}, {}, "in scg.yaml"),
        ("host", {"SCG_HOST": "::"}, {}, "from SCG_HOST"),
        ("host", {"SCG_HOST": "::"}, {"host": "0.0.0.0"}, "from --host"),
        ("cache", {"SCG_CACHE__TTL": "1h"}, {}, "from SCG_CACHE__TTL, in scg.yaml"),
        ("upstreams", {}, {"upstream_url": "http://b"}, "from --upstream-url"),
        ("upstreams", {"SCG_UPSTREAM_URL": "http://b"}, {}, "from SCG_UPSTREAM_URL"),
        ("upstreams", {}, {}, "in scg.yaml"),
    ],
)
def test_every_key_says_who_gave_it(
    key: str, environ: Mapping[str, str], flags: Mapping[str, str], comment: str
) -> None:
    """A comment beside each top-level key names the flag, the variables or the file."""
    made = loaded("host: localhost\ncache: {memory: 1MiB}\nupstreams: [{url: http://a}]", environ, **flags)
    (line,) = [line for line in show(made.settings, made.origins).splitlines() if line.startswith(f"{key}:")]
    assert line.endswith(f"  # {comment}")


def test_the_default_policy_is_shown_whole() -> None:
    """The fields that nobody set are shown too: they are what holds."""
    made = loaded(environ=URL | {"SCG_VOTE__TTL": "90s"})
    vote = yaml.safe_load(show(made.settings, made.origins))["vote"]
    assert {
        "policy": "majority",
        "k": 3,
        "stop": "unbeatable",
        "cache": True,
        "ttl": "90s",
    }.items() <= vote.items()
