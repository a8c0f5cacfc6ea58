"""`scg config`."""

from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from gateway.__main__ import main

FILE = """
upstreams: [{name: a, url: http://a/v1, api_key: hunter2}]
cache: {url: 'redis://:hunter2@redis:6379/0'}
vote: {k: 5}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "scg.yaml"
    file.write_text(FILE)
    return str(file)


def test_check(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A good configuration is exit code 0."""
    assert main(["config", "check", "--config", config]) == 0
    assert capsys.readouterr() == ("config: ok\n", "")


def test_check_tells_warnings(
    config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was ignored is told, and no reason to fail."""
    monkeypatch.setenv("SCG_PORT", "tcp://10.0.0.1:80")
    assert main(["config", "check", "--config", config]) == 0
    assert capsys.readouterr().err.startswith("scg: warning: ignored SCG_PORT: ")


def test_show(config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds is YAML, says who set it, and has no secret."""
    monkeypatch.setenv("SCG_VOTE__CACHE", "off")
    assert main(["config", "show", "--config", config, "--port", "9000"]) == 0
    told = capsys.readouterr().out
    assert "hunter2" not in told
    assert "port: 9000  # from --port\n" in told
    assert "vote:  # from SCG_VOTE__CACHE, in scg.yaml\n" in told
    shown = yaml.safe_load(told)
    assert ("***", "redis://***@redis:6379/0") == (shown["upstreams"][0]["api_key"], shown["cache"]["url"])
    assert (5, False) == (shown["vote"]["k"], shown["vote"]["cache"])


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped schema, byte for byte."""
    assert main(["config", "schema"]) == 0
    assert (
        files("gateway").joinpath("config.schema.json").read_text(encoding="utf-8") == capsys.readouterr().out
    )
