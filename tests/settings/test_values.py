"""What each key takes, and what is said of anything else."""

from typing import Any

import pytest
import yaml

from tests.settings.loading import CERTIFICATE, URL, complaints, settings

DIGEST = "ab" * 32


def value_at(made: Any, path: str) -> Any:
    for part in path.split("."):
        made = made[int(part)] if part.isdigit() else getattr(made, part)
    return made


@pytest.mark.parametrize(
    ("line", "path", "expected"),
    [
        ("port: 0", "port", 0),
        ("port: '65535'", "port", 65535),
        ("host: '::'", "host", "::"),
        ("page: off", "page", False),
        ("page: 'off'", "page", False),
        ("page: no", "page", False),
        ("page: False", "page", False),
        ("page: on", "page", True),
        ("page: 'On'", "page", True),
        ("page: yes", "page", True),
        ("workers: 1", "workers", 1),
        ("workers: 2\ncache: {url: 'redis://redis'}", "workers", 2),
        ("drain: {delay: 0}", "drain.delay", 0.0),
        ("log: {prompts: on}", "log.prompts", True),
        ("cache: {url: 'memory://'}", "cache.url", "memory://"),
        ("cache: {url: 'redis://redis:6379/0'}", "cache.url", "redis://redis:6379/0"),
        ("cache: {url: 'rediss://u:p%40@[::1]:6380'}", "cache.url", "rediss://u:p%40@[::1]:6380"),
        ("cache: {ttl: 7d}", "cache.ttl", 604800.0),
        ("cache: {ttl: 90}", "cache.ttl", 90.0),
        ("cache: {timeout: 250ms}", "cache.timeout", 0.25),
        ("cache: {memory: 64MiB}", "cache.memory", 64 << 20),
        ("cache: {memory: 0}", "cache.memory", 0),
        ("cache: {prefix: 'team:scg'}", "cache.prefix", "team:scg"),
        ("timeouts: {first_byte: 2m}", "timeouts.first_byte", 120.0),
        ("health: {interval: 1s}", "health.interval", 1.0),
        ("breaker: {failures: 100}", "breaker.failures", 100),
        ("breaker: {cooldown: 500ms}", "breaker.cooldown", 0.5),
        ("retries: {limit: 0}", "retries.limit", 0),
        ("retries: {budget: 1}", "retries.budget", 1.0),
        ("retries: {budget: '0.25'}", "retries.budget", 0.25),
        ("retries: {hedge: off}", "retries.hedge", None),
        ("retries: {hedge: 'off'}", "retries.hedge", None),
        ("retries: {hedge: 2s}", "retries.hedge", 2.0),
        ("limits: {max_body: 1GB}", "limits.max_body", 10**9),
        ("limits: {max_k: '32'}", "limits.max_k", 32),
        ("cache:", "cache.ttl", 604800.0),
        ("timeouts: {idle: }", "timeouts.idle", 60.0),
        ("keys: []", "keys", ()),
        ("keys:", "keys", ()),
    ],
)
def test_taken(line: str, path: str, expected: object) -> None:
    """Words, YAML's booleans, numbers and units come out as the type that the program reads."""
    found = value_at(settings(line, URL), path)
    assert (expected, type(expected)) == (found, type(found))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://llm:8000", "http://llm:8000"),
        ("http://llm:8000/", "http://llm:8000"),
        ("http://llm:8000/v1", "http://llm:8000"),
        ("http://llm:8000/v1/", "http://llm:8000"),
        ("HTTPS://llm/api/v1", "https://llm/api"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
        (" http://llm/apiv1 ", "http://llm/apiv1"),
    ],
)
def test_upstream_urls_lose_their_v1(given: str, expected: str) -> None:
    """With or without /v1 and a last slash is the same upstream."""
    assert expected == settings(environ={"SCG_UPSTREAM_URL": given}).upstreams[0].url


def test_every_key_of_an_upstream(tmp_path: Any) -> None:
    """All that an upstream can be told arrives."""
    (tmp_path / "ca.pem").write_text(CERTIFICATE)
    (tmp_path / "key").write_text("  secret\n")
    given = {
        "name": "a", "url": "https://a/v1", "engine": "vllm", "lane": "fast", "models": ["m", "n"], "weight": 2,
        "max_in_flight": 1, "api_key_file": str(tmp_path / "key"), "headers": {"X-Org": "o"},
        "ca_file": str(tmp_path / "ca.pem"), "revision": "r1",
    }  # fmt: skip
    (made,) = settings(yaml.safe_dump({"upstreams": [given]})).upstreams
    expected = {
        "name": "a", "url": "https://a", "engine": "vllm", "lane": "fast", "models": ("m", "n"), "weight": 2.0,
        "max_in_flight": 1, "api_key": "secret", "headers": (("X-Org", "o"),),
        "ca_file": str(tmp_path / "ca.pem"), "revision": "r1",
    }  # fmt: skip
    assert expected == {key: getattr(made, key) for key in expected}


def test_certificates_are_looked_at(tmp_path: Any) -> None:
    """A file without any is refused, and other certificates in the same file are another setting."""
    file = tmp_path / "ca.pem"
    text = f"upstreams: [{{url: https://a, ca_file: {file}}}]"
    file.write_text("no certificate")
    (told,) = complaints(text)
    assert (
        told
        == f"config: upstreams.0.ca_file: {file} has no certificates that can be read; expected PEM (in scg.yaml)"
    )
    file.write_text(CERTIFICATE)
    before = settings(text)
    assert before == settings(text)
    file.write_text(CERTIFICATE * 2)
    assert before != settings(text)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("port: 65536", "port: expected a whole number from 0 to 65535, got 65536"),
        ("port: -1", "port: expected a whole number from 0 to 65535, got -1"),
        ("port: true", "port: expected a whole number from 0 to 65535, got True"),
        ("port: [1]", "port: expected a whole number from 0 to 65535, got a list"),
        ("host: 127", "host: expected text in quotes, got 127"),
        ("page: maybe", "page: expected on or off, got 'maybe'"),
        ("workers: 2", "workers: 2 need a cache that they share, as each would pin answers of its own; set cache.url"),
        ("drain: {delay: soon}", "drain.delay: expected a duration like 500ms, 30s, 5m, 1h or 7d, got 'soon'"),
        ("log: {format: xml}", "log.format: expected auto, text or json, got 'xml'"),
        ("log: {level: loud}", "log.level: expected debug, info, warning or error, got 'loud'"),
        ("workers: 0", "workers: expected a whole number of at least 1, got 0"),
        ("cache: none", "cache: expected a mapping, got 'none'"),
        ("cache: {url: 'http://redis'}", "cache.url: expected memory://, redis://host:6379/0,"),
        ("cache: {url: 'redis://'}", "cache.url: expected memory://, redis://host:6379/0,"),
        ("cache: {url: 'redis://redis/zero'}", "cache.url: expected memory://, redis://host:6379/0,"),
        ("cache: {url: 'redis://redis:port'}", "cache.url: expected memory://, redis://host:6379/0,"),
        ("cache: {url: redis}", "cache.url: expected memory://, redis://host:6379/0,"),
        ("cache: {url: 6379}", "cache.url: expected memory://, redis://host:6379/0,"),
        ("cache: {prefix: a, ca_file: /nowhere, url: 'rediss://h'}", "cache.ca_file: cannot read /nowhere: No such"),
        ("cache: {url: 'rediss://h?ssl_certfile=/nowhere'}", "cache.url: cannot read /nowhere: No such"),
        ("cache: {ttl: 7 days}", "cache.ttl: expected a duration like 500ms, 30s, 5m, 1h or 7d, got '7 days'"),
        ("cache: {ttl: 0}", "cache.ttl: expected a duration above 0, got 0"),
        ("cache: {memory: 64 MB of it}", "cache.memory: expected a size like 512, 64MiB or 1GB, got '64 MB of it'"),
        ("cache: {prefix: 'a b'}", "cache.prefix: expected up to 64 letters"),
        ("cache: {tll: 7d}", "cache.tll: no such key; did you mean ttl?"),
        ("timeouts: {connect: -1}", "timeouts.connect: expected a duration like"),
        ("limits: {max_k: 0}", "limits.max_k: expected a whole number of at least 1, got 0"),
        ("limits: {max_body: 0}", "limits.max_body: expected a size above 0, got 0"),
        ("limits: {max_samples_in_flight: many}", "limits.max_samples_in_flight: expected a whole number of at"),
        ("health: {interval: 0}", "health.interval: expected a duration above 0, got 0"),
        ("breaker: {failures: 0}", "breaker.failures: expected a whole number from 1 to 100, got 0"),
        ("breaker: {failures: 101}", "breaker.failures: expected a whole number from 1 to 100, got 101"),
        ("retries: {limit: -1}", "retries.limit: expected a whole number from 0 to 100, got -1"),
        ("retries: {budget: 2}", "retries.budget: expected a number from 0 to 1, got 2"),
        ("retries: {budget: all}", "retries.budget: expected a number from 0 to 1, got 'all'"),
        ("retries: {hedge: on}", "retries.hedge: expected a duration like 500ms, 30s, 5m, 1h or 7d, got True"),
        ("prot: 1", "prot: no such key; did you mean port?"),
        ("ledger: {stream: on}", "ledger.stream: on needs Redis to append to; set cache.url to redis://…, or use off"),
        ("ledger: {length: 0}", "ledger.length: expected a whole number of at least 1, got 0"),
        ("zzz: 1", "zzz: no such key; known: breaker, cache, drain, health, host, keys, keys_file, ledger, limits,"),
        ("upstream_url: http://a", "upstream_url: no such key; did you mean upstreams?"),
        ("routes: {model: m}", "routes: expected a list, got a mapping"),
        ("routes: [{model: m}]", "routes.0.policy: is missing"),
        ("keys: [{name: a, sha256: abc}]", "keys.0.sha256: expected a SHA-256 as 64 hex digits, got ***"),
        (f"keys: [{{name: a, sha256: {DIGEST}, rpm: 0}}]", "keys.0.rpm: expected a whole number of at least 1, got"),
    ],
)  # fmt: skip
def test_refused(line: str, said: str) -> None:
    """The line names the key, what would do, the value and the file."""
    (told,) = complaints(line, URL)
    assert told.startswith(f"config: {said}")
    assert told.endswith("(in scg.yaml)")


@pytest.mark.parametrize(
    ("upstream", "said"),
    [
        ("{name: a}", "upstreams.0.url: is missing"),
        ("http://a", "upstreams.0: expected a mapping, got 'http://a'"),
        ("{url: 'llm:8000'}", "upstreams.0.url: expected a url like http://host:8000, got 'llm:8000'"),
        ("{url: 'ftp://llm'}", "upstreams.0.url: expected a url like http://host:8000, got 'ftp://llm'"),
        ("{url: 'http://'}", "upstreams.0.url: expected a url like http://host:8000, got 'http://'"),
        ("{url: 'http://llm:port'}", "upstreams.0.url: expected a url like http://host:8000, got '***'"),
        ("{url: 'http://llm:0'}", "upstreams.0.url: expected a url like http://host:8000, got 'http://llm:0'"),
        ("{url: 'http://l lm'}", "upstreams.0.url: expected a url like http://host:8000, got '***'"),
        ("{url: 'http://[llm'}", "upstreams.0.url: expected a url like http://host:8000, got '***'"),
        ("{url: 'http://llm?a=b'}", "upstreams.0.url: expected a url like http://host:8000, without user"),
        ("{url: http://a, engine: tgi}", "upstreams.0.engine: expected auto, vllm, sglang, lmdeploy, openai or torch,"),
        ("{url: http://a, trust: maybe}", "upstreams.0.trust: expected on or off, got 'maybe'"),
        ("{url: http://a, lane: slow}", "upstreams.0.lane: expected fast or reference, got 'slow'"),
        ("{url: http://a, weight: 0}", "upstreams.0.weight: expected a number above 0, got 0"),
        ("{url: http://a, weight: heavy}", "upstreams.0.weight: expected a number above 0, got 'heavy'"),
        ("{url: http://a, max_in_flight: 0}", "upstreams.0.max_in_flight: expected a whole number of at least 1"),
        ("{url: http://a, models: {a: b}}", "upstreams.0.models: expected a list, got a mapping"),
        ("{url: http://a, models: [1]}", "upstreams.0.models.0: expected text in quotes, got 1"),
        ("{url: http://a, revision: 2024-01-01}", "upstreams.0.revision: expected text, got datetime.date(2024, 1, 1)"),
        ("{url: http://a, name: 'a b'}", "upstreams.0.name: expected a name of up to 64 letters"),
        ("{url: http://a, headers: {'a b': c}}", "upstreams.0.headers.a b: expected a header's name"),
        ("{url: http://a, headers: [a]}", "upstreams.0.headers: expected a mapping, got a list"),
        ("{url: http://a, ca_file: /nowhere/ca.pem}", "upstreams.0.ca_file: cannot read /nowhere/ca.pem: No such file"),
        ("{url: http://a, api_key_file: /nowhere/key}", "upstreams.0.api_key_file: cannot read /nowhere/key: No"),
        ("{url: http://a, api_key_file: /dev/null}", "upstreams.0.api_key_file: /dev/null is empty"),
    ],
)  # fmt: skip
def test_refused_of_an_upstream(upstream: str, said: str) -> None:
    """Every key of an upstream is checked, and named with its position."""
    assert complaints(f"upstreams: [{upstream}]")[0].startswith(f"config: {said}")


def test_one_line_for_each_mistake() -> None:
    """Several mistakes are told at once, each on its own line."""
    told = complaints(
        "prot: 1\npage: maybe\ncache: {ttl: x}\nupstreams: [{name: a}, {url: x}]", {"SCG_X": "1"}
    )
    assert ["SCG_X", "upstreams.0.url", "upstreams.1.url", "cache.ttl", "page", "prot"] == [
        line.split(": ")[1] for line in told
    ]


def test_names_of_upstreams_are_unique() -> None:
    """Metrics and logs tell upstreams apart by name."""
    told = complaints("upstreams: [{url: http://a, name: x}, {url: http://b}, {url: http://c, name: x}]")
    assert told == [f"config: upstreams.{n}.name: 'x' is there more than once (in scg.yaml)" for n in (0, 2)]


def test_without_an_upstream_both_ways_are_told() -> None:
    """Nothing can be served without an upstream; the line says how to name one."""
    (told,) = complaints()
    assert told.startswith(
        "config: upstreams: there is none; set SCG_UPSTREAM_URL=http://host:8000, or list them"
    )
    assert told == complaints("upstreams: []")[0].replace(" (in scg.yaml)", "")
