"""The file, read strictly."""

import pytest

from tests.settings.loading import URL, complaints, settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port: 1\nhost: a\nport: 2", "line 3: the key 'port' is there twice"),
        ("cache:\n  ttl: 1h\n  ttl: 2h", "line 3: the key 'ttl' is there twice"),
        ("policies: {on: {k: 1}}", "line 1: the key 'on' is no text; put it in quotes"),
        ("1: 2", "line 1: the key '1' is no text; put it in quotes"),
        ("- port", "expected a mapping of settings such as `port: 8080`"),
        ("port", "expected a mapping of settings such as `port: 8080`"),
        ("a: b: c", "not valid YAML at line 1, column 5: mapping values are not allowed here"),
        ("a: [1", "not valid YAML at line 1, column 6: expected ',' or ']', but got '<stream end>'"),
        (
            "a:\n\t- b",
            r"not valid YAML at line 2, column 1: found character '\t' that cannot start any token",
        ),
        (
            "port: @80",
            "not valid YAML at line 1, column 7: found character '@' that cannot start any token",
        ),
        (
            "upstreams: [\n a: b: c\n",
            "not valid YAML at line 2, column 6: expected ',' or ']', but got ':'",
        ),
        (
            "a: !!python/object:os.system {}",
            "not valid YAML at line 1, column 4: could not determine a constructor for the tag '…'",
        ),
        ("revision: 2026-13-01", "line 1: the value is no timestamp; text needs quotes"),
        ("a: {{ b }}", "line 1: this key is no text; put it in quotes"),
        ("a: \x01", "not valid YAML"),
        ("keys: !!set [x]", "not valid YAML at line 1: expected a mapping"),
        ("keys:\n  !!set x", "not valid YAML at line 2: expected a mapping"),
        (
            "keys: !!omap [x]",
            "not valid YAML at line 1, column 15: expected a mapping of length 1, but found scalar",
        ),
        ("keys: !!pairs x", "not valid YAML at line 1, column 7: expected a sequence, but found scalar"),
        ("keys: &a [*a]", "not valid YAML"),
        ("keys: " + "[" * 3000, "not valid YAML"),
    ],
)
def test_refused(text: str, said: str) -> None:
    """What YAML would let pass, or say in five lines, is one line with its place."""
    (told,) = complaints(text, URL)
    assert told.startswith(f"config: {said}")
    assert told.endswith("(in scg.yaml)")


@pytest.mark.parametrize(
    "value",
    [
        "*hunter2", "!hunter2 x", "!!hunter2 x", "!h!hunter2 x", "!!int hunter2", "!!float hunter2", "!!bool hunter2",
        "!!timestamp hunter2", "!!binary hunter2€", "{{ hunter2 }}", "[hunter2: x: y]", "'hunter2' x", "'hunter2",
        r'"hunter2\q"', r'"hunter2\xzz"', r'"hunter2\UFFFFFFFF"', "@hunter2", "%hunter2", "hunter2: x",
        "!!set [hunter2]", "!!set hunter2", "!!map [hunter2: x]", "!!omap [hunter2]", "!!pairs hunter2",
        "&hunter2 [*hunter2]", "&hunter2 1\nb: &hunter2 2", "!hunter2%22%27 x",
    ],
)  # fmt: skip
def test_no_value_is_printed(value: str) -> None:
    """Whatever is wrong with it, nothing of a value that may be a password is told."""
    (told,) = complaints(f"api_key: {value}\n", URL)
    assert "unter" not in told
    assert told.endswith("(in scg.yaml)")


def test_not_utf_8(tmp_path: object) -> None:
    """Bytes that are no text are told as such."""
    from pathlib import Path

    from gateway.settings.errors import ConfigError
    from gateway.settings.loader import load

    file = Path(str(tmp_path), "scg.yaml")
    file.write_bytes(b"host: \xff")
    with pytest.raises(ConfigError, match=r"config: not UTF-8 text \(in scg.yaml\)"):
        load({}, URL, file)


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "cache:\nkeys:\npolicies: {own: }\nvote: {k: }\n"]
)
def test_keys_without_a_value_count_as_absent(text: str) -> None:
    """A section whose lines are all commented out is no section."""
    assert settings(text, URL) == settings(environ=URL)


def test_anchors_and_merges_work() -> None:
    """YAML's own way of saying things once."""
    text = """
upstreams:
  - &one {url: http://a, engine: vllm, weight: 2}
  - {<<: *one, url: http://b}
"""
    assert [("http://a", 2.0), ("http://b", 2.0)] == [(u.url, u.weight) for u in settings(text).upstreams]


def test_the_documented_example_is_taken() -> None:
    """The example of the documentation, as far as this version goes."""
    text = """
upstreams:
  - {name: a, url: http://vllm-a:8000/v1, engine: vllm}
cache: {url: redis://redis:6379/0, ttl: 7d, memory: 64MiB, timeout: 250ms, prefix: scg}
vote: {policy: majority}
policies:
  invoices: {extends: majority, answer: text, k: 5, min_agreement: 0.8}
routes: [{model: "qwen3-*", policy: majority}]
timeouts: {connect: 2s, first_byte: 120s, idle: 60s, total: 600s}
limits: {max_k: 16, max_body: 64MiB, max_in_flight: 512, max_samples_in_flight: 2048}
keys: []
page: on
workers: 1
drain: {delay: 500ms, timeout: 30s}
log: {format: auto, level: info, rounds: on, prompts: off}
"""
    made = settings(text)
    assert ("a", "vllm", 5, True) == (
        made.upstreams[0].name, made.upstreams[0].engine, made.policies["invoices"].k, made.page,
    )  # fmt: skip
