"""`scg ledger`, on a real Redis."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.core.ledger import Entry, make_entry
from gateway.core.policy import PRESETS
from tests.core.playing import play
from tests.doubles.redis_server import RedisServer, free_port

MAJORITY = PRESETS["majority"].override({"stop": "all"})


def entry(number: int) -> Entry:
    """Round `number`, in which two of three agree."""
    ended = play(MAJORITY, ["yes", "no", "yes"]).round
    return make_entry(ended, key=f"key{number}", at=float(number), model="m", pin="won")


def write(redis: RedisServer, *entries: Entry | str) -> None:
    """At the end of the ledger, one a second from 1,000,000,000,000 ms on."""
    for second, told in enumerate(entries):
        text = told if isinstance(told, str) else json.dumps(asdict(told))
        redis.ask("XADD", "scg:ledger", f"{1_000_000_000_000 + second * 1000}-0", "round", text)


@pytest.fixture
def redis(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """The Redis that the environment names."""
    monkeypatch.setenv("SCG_UPSTREAM_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("SCG_CACHE__URL", redis_server.url)
    return redis_server


def test_check_counts_every_round(redis: RedisServer, capsys: pytest.CaptureFixture[str]) -> None:
    """More rounds than one page holds; all follow, exit code 0."""
    write(redis, *(entry(number) for number in range(1001)))
    assert 0 == main(["ledger", "check"])
    said = capsys.readouterr().out
    assert "1001 rounds counted again: 1001 follow from their samples, 0 do not\n" == said


def test_check_names_what_does_not_follow(redis: RedisServer, capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, with the place in the stream and the key, and exit code 1."""
    write(redis, entry(0), replace(entry(1), winner=1), "{}")
    assert 1 == main(["ledger", "check"])
    first, second, last = capsys.readouterr().out.splitlines()
    assert first == "1000000001000-0 key key1: the winner is sample 1, and by the count it is sample 0"
    assert second == "1000000002000-0: not an entry of this ledger"
    assert last == "3 rounds counted again: 1 follow from their samples, 2 do not"


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ([], ["key0", "key1", "key2"]),
        (["--last", "2"], ["key1", "key2"]),
        (["--key", "key1"], ["key1"]),
        (["--since", "1000000002000"], ["key2"]),
        (["--since", "1000000001000-0"], ["key1", "key2"]),
        (["--since", "2001-09-09T01:46:41"], ["key1", "key2"]),
        (["--since", "2001-09-09T03:46:42+02:00"], ["key2"]),
        (["--since", "2001-09-09"], ["key0", "key1", "key2"]),
    ],
    ids=" ".join,
)
def test_show_prints_a_line_a_round(
    redis: RedisServer, words: list[str], keys: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The oldest first, as the ledger has them and with their places."""
    write(redis, *map(entry, range(3)))
    assert 0 == main(["ledger", "show", *words])
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert keys == [told["key"] for told in shown]
    places = {f"key{number}": f"{1_000_000_000_000 + number * 1000}-0" for number in range(3)}
    whole = [{"id": places[key]} | asdict(entry(int(key[-1]))) for key in keys]
    assert json.loads(json.dumps(whole)) == shown


@pytest.mark.parametrize(
    "words", [["check"], ["show"], ["show", "--key", "none"], ["check", "--since", "2001-09-10"]]
)
def test_nothing_is_no_success(
    redis: RedisServer, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Who counted nothing has shown nothing: exit code 1, and which setting fills the ledger."""
    if "--key" in words or "--since" in words:
        write(redis, entry(0))
    assert 1 == main(["ledger", *words])
    assert (
        "scg ledger: nothing of the kind in scg:ledger (`ledger.stream: on` fills it)\n"
        == capsys.readouterr().err
    )


def test_redis_away_is_one_line(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing was checked, so it is exit code 2, and what failed."""
    monkeypatch.setenv("SCG_CACHE__URL", f"redis://127.0.0.1:{free_port()}")
    assert 2 == main(["ledger", "check"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("scg ledger: cannot read the ledger: ConnectionError")


def test_a_ledger_in_memory_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without Redis there is nothing to read: exit code 2, and the key that says so."""
    monkeypatch.setenv("SCG_UPSTREAM_URL", "http://127.0.0.1:1")
    assert 2 == main(["ledger", "check"])
    assert "scg ledger: cache.url: the ledger is in Redis, got memory://\n" == capsys.readouterr().err


@pytest.mark.parametrize("since", ["yesterday", "1764312245123-", "12-0", "-"])
def test_a_time_that_is_none_is_told(since: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Exit code 2 in one line."""
    assert 2 == main(["ledger", "check", "--config", str(tmp_path / "none.yaml"), f"--since={since}"])
    (line,) = capsys.readouterr().err.splitlines()
    assert f"expected a time like 2026-11-28T09:30 or an id like 1764312245123-0, got {since!r}" in line
