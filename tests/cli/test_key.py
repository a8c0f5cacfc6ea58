"""`scg key`: what it prints is what the configuration takes."""

import io
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.serving.keyring import digest_of
from gateway.settings.model import KeySettings
from tests.settings.loading import URL, settings


def test_a_new_key_goes_into_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Standard output, appended to a file, is the file that `keys_file` names; the key itself is not in it."""
    file = tmp_path / "keys.yaml"
    said = []
    for words in (["team-a", "--rpm", "600", "--tpm", "200000"], ["123", "--admin", "--replace"]):
        assert 0 == main(["key", "new", *words])
        printed = capsys.readouterr()
        said.append(printed.err.splitlines()[-1])
        with file.open("a") as keys:
            keys.write(printed.out)
    assert 2 == len(set(said))
    assert all(key.startswith("scg-") and len(key) > 40 and key not in file.read_text() for key in said)
    assert (
        KeySettings(name="team-a", sha256=digest_of(said[0]), rpm=600, tpm=200_000),
        KeySettings(name="123", sha256=digest_of(said[1]), admin=True, replace=True),
    ) == settings(environ=URL | {"SCG_KEYS_FILE": str(file)}).keys


def test_the_digest_of_an_own_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that exists is taken from standard input, less the line's end."""
    monkeypatch.setattr("sys.stdin", io.StringIO("a-key-of-somebody-else\n"))
    assert 0 == main(["key", "digest"])
    assert f"{digest_of('a-key-of-somebody-else')}\n" == capsys.readouterr().out


@pytest.mark.parametrize("key", ["", "hunter2", "x" * 19, "é" * 30])
def test_a_weak_key_is_refused(
    key: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A word that can be guessed has a digest that can be found."""
    monkeypatch.setattr("sys.stdin", io.StringIO(key))
    assert 2 == main(["key", "digest"])
    assert "at least 20 characters" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["a b"], ["a", "--rpm", "0"], ["a", "--tpm", "many"]])
def test_what_no_configuration_would_take(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Bad names and limits are refused in the words of the settings."""
    assert 2 == main(["key", "new", *words])
    assert "expected a" in capsys.readouterr().err
