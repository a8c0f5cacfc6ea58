"""Clients' keys: from the file, the environment, a file of their own."""

from pathlib import Path

import pytest

from gateway.settings.model import KeySettings
from gateway.settings.show import show
from tests.settings.loading import URL, complaints, loaded, settings

A, B, C = ("ab" * 32, "bc" * 32, "cd" * 32)


def test_keys_of_all_sources(tmp_path: Path) -> None:
    """What the file, variables and `keys_file` say is one list; digests are taken in any case."""
    file = tmp_path / "keys.yaml"
    file.write_text(f"# of the teams\n- {{name: c, sha256: {C.upper()}, admin: on}}\n")
    text = f"keys: [{{name: a, sha256: {A}, rpm: 600, tpm: 200000}}]\nkeys_file: {file}"
    environ = {"SCG_KEYS__1__NAME": "b", "SCG_KEYS__1__SHA256": B, "SCG_KEYS__1__REPLACE": "true"}
    assert (
        KeySettings(name="a", sha256=A, rpm=600, tpm=200_000),
        KeySettings(name="b", sha256=B, replace=True),
        KeySettings(name="c", sha256=C, admin=True),
    ) == settings(text, URL | environ).keys


def test_a_file_of_keys_by_variable_alone(tmp_path: Path) -> None:
    """SCG_KEYS_FILE is enough, as a mounted secret has it."""
    (tmp_path / "keys").write_text(f"- {{name: a, sha256: {A}}}")
    made = settings(environ=URL | {"SCG_KEYS_FILE": str(tmp_path / "keys")})
    assert ["a"] == [key.name for key in made.keys]


def test_a_tenant_may_have_two_keys() -> None:
    """So that one can be replaced by another without a moment in which neither holds."""
    made = settings(f"keys: [{{name: a, sha256: {A}, rpm: 5}}, {{name: a, sha256: {B}, rpm: 5}}]", URL)
    assert ["a", "a"] == [key.name for key in made.keys]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"keys: [{{name: a, sha256: {A}}}, {{name: b, sha256: {A}}}]",
         "keys.1.sha256: b's is there twice (in scg.yaml)"),
        (f"keys: [{{name: a, sha256: {A}, rpm: 5}}, {{name: a, sha256: {B}}}]",
         "keys.1.rpm: a has another key with 5; a limit is that of the name"),
        (f"keys: [{{sha256: {A}}}]", "keys.0.name: is missing"),
        (f"keys: [{{name: a b, sha256: {A}}}]", "keys.0.name: expected a name of up to 64 letters"),
        ("keys_file: /nowhere/keys.yaml", "keys_file: cannot read /nowhere/keys.yaml: No such file"),
    ],
)  # fmt: skip
def test_refused(text: str, said: str) -> None:
    """The line names the key and what is wrong with it."""
    (told,) = complaints(text, URL)
    assert told.startswith(f"config: {said}")
    assert told.endswith("(in scg.yaml)")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "keys_file: expected a list of keys in"),
        ("[]", "keys_file: expected a list of keys in"),
        (f"keys: [{{name: a, sha256: {A}}}]", "keys_file: expected a list of keys in"),
        (f"- {{name: a, sha256: {A}", "keys_file: cannot read"),
        (
            "- {name: a, sha256: hunter2hunter2}",
            "keys.0.sha256: expected a SHA-256 as 64 hex digits, got ***",
        ),
        (f"- {{name: a, sha256: {A}, amdin: true}}", "keys.0.amdin: no such key; did you mean admin?"),
    ],
)
def test_a_bad_file_of_keys(content: str, said: str, tmp_path: Path) -> None:
    """A file without keys is an error, since no keys means no lock; so is anything that is wrong with one."""
    (tmp_path / "keys.yaml").write_text(content)
    (told,) = complaints(f"keys_file: {tmp_path / 'keys.yaml'}", URL)
    assert told.startswith(f"config: {said}")
    assert "hunter2" not in told
    assert told.endswith("(in scg.yaml)" if said.startswith("keys_file") else "(in keys.yaml)")


def test_a_key_of_the_file_that_the_configuration_has(tmp_path: Path) -> None:
    """The place is that in the file of keys."""
    (tmp_path / "keys.yaml").write_text(f"- {{name: b, sha256: {B}}}\n- {{name: a, sha256: {A}}}\n")
    text = f"keys: [{{name: a, sha256: {A}}}]\nkeys_file: {tmp_path / 'keys.yaml'}"
    assert ["config: keys.1.sha256: a's is there twice (in keys.yaml)"] == complaints(text, URL)


def test_digests_are_shown_to_nobody(tmp_path: Path) -> None:
    """`config show` has names and limits, and says where keys come from."""
    (tmp_path / "keys").write_text(f"- {{name: a, sha256: {A}, rpm: 5}}")
    made = loaded(None, URL | {"SCG_KEYS_FILE": str(tmp_path / "keys")})
    shown = show(made.settings, made.origins)
    assert A not in shown + repr(made.settings)
    assert "keys:  # in the file of keys_file\n- name: a\n  sha256: '***'\n  rpm: 5\n" in shown
