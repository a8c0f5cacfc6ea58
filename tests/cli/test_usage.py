"""Help, version, exit codes and one-line errors."""

import re
import subprocess
from pathlib import Path

import pytest

from gateway import __version__
from gateway.__main__ import main
from tests.cli.commands import SCG, environment, scg

COMMANDS = [
    [],
    ["serve"],
    ["demo"],
    ["audit"],
    ["bulk"],
    ["config"],
    ["config", "check"],
    ["config", "show"],
    ["config", "schema"],
    ["cache"],
    ["cache", "stats"],
    ["cache", "get"],
    ["cache", "delete"],
    ["key"],
    ["key", "new"],
    ["key", "digest"],
    ["ledger"],
    ["ledger", "show"],
    ["ledger", "check"],
]
GROUPS: list[list[str]] = [[], ["config"], ["cache"], ["key"], ["ledger"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """--help is exit code 0, and shows at least one command line to copy."""
    assert main([*command, "--help"]) == 0
    told = capsys.readouterr().out
    assert "usage: scg" in told
    examples = told.split("\nexamples:\n")[1]
    assert re.search(rf"^  .*{' '.join(['scg', *command])}", examples, re.MULTILINE)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in GROUPS], ids=" ".join)
def test_examples_use_flags_that_exist(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever copies an example meets no unknown flag."""
    main([*command, "--help"])
    usage, examples = capsys.readouterr().out.split("\nexamples:\n")
    own = re.sub(r'"[^"]*"', "", examples)  # in quotes are another program's
    assert set(re.findall(r"--[a-z-]+", own)) <= set(re.findall(r"--[a-z-]+", usage))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version names the program and its version."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"scg {__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "scg: the following arguments are required: serve|demo|audit|bulk|config|cache"),
        (["sevre"], "invalid choice: 'sevre'"),
        (["serve", "--prot", "1"], "scg: unrecognized arguments: --prot 1"),
        (["config"], "scg config: the following arguments are required: check|show|schema"),
        (["config", "chekc"], "invalid choice: 'chekc'"),
        (["cache", "get"], "scg cache get: the following arguments are required: key"),
        (["cache", "stats", "--url", "localhost"], "expected a url like http://127.0.0.1:8080, got 'localhost'"),
        (["demo", "--model", "large"], "invalid choice: 'large'"),
        (["serve"], "config: upstreams: there is none; set SCG_UPSTREAM_URL="),
        (["serve", "--port", "x", "--upstream-url", "http://a"], "config: port: expected a whole number from 0"),
        (["serve", "--upstream-url", "a"], "config: upstreams.0.url: expected a url like http://host:8000, got 'a'"),
        (["serve", "--config", "/nowhere.yaml"], "config: cannot read /nowhere.yaml: No such file or directory"),
        (["config", "check"], "config: upstreams: there is none"),
        (["config", "show", "--port", "-1"], "config: port: expected a whole number from 0 to 65535, got '-1'"),
    ],
)  # fmt: skip
def test_bad_usage_is_exit_code_2_and_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong with the words or the settings is one line on stderr."""
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err.splitlines()[0]


def test_each_mistake_of_a_file_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`config check` tells all that is wrong at once."""
    file = tmp_path / "scg.yaml"
    file.write_text("prot: 1\nupstreams: [{url: http://a}]\npolicies: {invoices: {k: x}}")
    assert main(["config", "check", "--config", str(file)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "config: policies.invoices.k: expected a whole number of at least 1, got 'x' (in scg.yaml)",
        "config: prot: no such key; did you mean port? (in scg.yaml)",
    ]


@pytest.mark.processes
def test_scg_as_a_process() -> None:
    """The exit code and the line reach whoever started it."""
    ended = scg("serve", environ={"SCG_PROT": "1", "SCG_UPSTREAM_URL": "http://a"})
    assert (2, "") == (ended.returncode, ended.stdout)
    assert ended.stderr == "config: SCG_PROT: no such setting; did you mean SCG_PORT?\n"


@pytest.mark.processes
def test_a_reader_that_leaves_is_no_error() -> None:
    """`scg config schema | head -1` ends quietly."""
    with subprocess.Popen(
        [*SCG, "config", "schema"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
