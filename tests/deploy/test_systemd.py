"""The unit for systemd, looked at by systemd's own tools."""

import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.cli.arguments import Parser
from gateway.cli.serve import add_arguments
from gateway.core.units import parse_duration
from gateway.settings.model import DrainSettings

UNIT = Path("deploy/systemd/scg.service")


def value(key: str) -> str:
    """What the unit says of a key that it has once."""
    (line,) = [line for line in UNIT.read_text().splitlines() if line.startswith(f"{key}=")]
    return line.partition("=")[2]


def analyze(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """systemd-analyze on the unit, with a program that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine: it comes with systemd")
    unit = folder / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/scg/bin/scg", "/bin/true"))
    command = ["systemd-analyze", *words, str(unit)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_has_nothing_to_say_against_it(tmp_path: Path) -> None:
    """`systemd-analyze verify` knows every key and value of the unit."""
    verified = analyze(tmp_path, "verify")
    assert (0, "") == (verified.returncode, verified.stderr)


def test_it_is_confined(tmp_path: Path) -> None:
    """systemd rates its exposure below 2 of 10, where a unit without confinement has 9.6."""
    assert 0 == analyze(tmp_path, "security", "--offline=yes", "--threshold=20", "--no-pager").returncode


def test_its_command_is_one_that_we_know() -> None:
    """The gateway takes the flags that the unit gives it."""
    program, command, *words = value("ExecStart").split()
    parser = Parser()
    add_arguments(parser)
    assert ("/opt/scg/bin/scg", "serve") == (program, command)
    assert Path("/etc/scg/config.yaml") == parser.parse_args(words).config


def test_it_is_given_the_time_to_drain() -> None:
    """systemd waits for longer than the gateway takes to let requests in flight end."""
    drain = DrainSettings()
    assert parse_duration(value("TimeoutStopSec")) > drain.delay + drain.timeout
