"""`scg audit` against scripted servers: what it asks, what it says, and what it does when they fail."""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.__main__ import main
from tests.cli.commands import begun
from tests.doubles.gateway import open_gateway
from tests.doubles.upstream import HTML, RESET, Reply, Upstream, open_upstream

SMALL = ("--prompt-count", "3", "--copies", "4", "--concurrency", "1,2", "--gap", "0", "--rate", "0")
PLANNED = 3 * (3 + 2 + 3 * 2 + 4)  # alone, together @2, mixed @2, apart @2
BUSY = Reply(
    429, b'{"error": {"message": "slow down"}}', {"content-type": "application/json", "retry-after": "0"}
)


@dataclass
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str
    report: Any


@dataclass
class Audit:
    """Runs the command in a folder of its own, beside the test's servers."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    async def __call__(self, *words: str, small: Sequence[str] = SMALL) -> Ran:
        out = self.folder / "a"
        code = await asyncio.to_thread(main, ["audit", *words, *small, "--out", str(out)])
        told = self.capsys.readouterr()
        report = self.folder / "a.json"
        return Ran(code, told.out, told.err, json.loads(report.read_text()) if report.exists() else None)


@pytest.fixture
def audit(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Audit:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return Audit(tmp_path, capsys)


def planned(upstream: Upstream) -> list[Any]:
    """The bodies that were asked, without the one that only tries."""
    return [seen.body for seen in upstream.seen if seen.body["max_tokens"] != 1]


async def test_a_deterministic_server(audit: Audit) -> None:
    """All the same: every phase is asked as planned, exit code 0, and all four files are there."""
    async with open_upstream("same") as upstream:
        ran = await audit(upstream.url, "--fail-under", "0.99")
    assert (0, PLANNED) == (ran.code, len(planned(upstream)))
    assert {"a.html", "a.json", "a.xml", "a.jsonl"} == {path.name for path in audit.folder.iterdir()}
    assert 1.0 == ran.report["headline"]["answer"]["value"]
    assert ran.report["complete"]
    assert (
        f"{PLANNED} requests of m (openai): 3 prompts; alone 9, together @2 6, mixed @2 18, apart @2 12"
        in ran.err
    )
    assert "Recommended: single (one sample)" in ran.out


async def test_every_copy_is_the_same_request(audit: Audit) -> None:
    """Temperature, seed and all are equal between copies, and a gateway in between is asked for a fresh vote."""
    async with open_upstream("same") as upstream:
        await audit(upstream.url)
    assert 3 == len({json.dumps(body) for body in planned(upstream)})
    assert {(0, 1, 128)} == {
        (body["temperature"], body["seed"], body["max_tokens"]) for body in planned(upstream)
    }
    assert {"no-store"} == {seen.headers["cache-control"] for seen in upstream.seen}


async def test_a_flipping_server(audit: Audit) -> None:
    """41, 42 in turn: exit code 1 under --fail-under, with the figure and its interval."""
    async with open_upstream("41", "42") as upstream:
        ran = await audit(
            upstream.url, "--fail-under", "0.99", "--phases", "alone,apart", "--concurrency", "1"
        )
    assert 1 == ran.code
    assert "is below --fail-under 0.99" in ran.err
    assert ran.report["headline"]["answer"]["value"] < 0.7
    assert not ran.report["check"]["passes"]
    assert {"41", "42"} == {variant["text"] for variant in ran.report["examples"][0]["variants"]}
    assert 1 == ran.report["examples"][0]["divergence"]


async def test_41_42_42_by_hand(audit: Audit) -> None:
    """One prompt, six copies apart of 41, 42, 42: agreement 7/15; halves agree in 12 of 20 splits."""
    script = ["41", "42", "42"]
    async with open_upstream(*script, *script) as upstream:
        upstream.answers = ["try", *script * 3]
        ran = await audit(
            upstream.url, "--concurrency", "1", small=("--prompt-count", "1", "--copies", "6", "--gap", "0")
        )
    assert 0 == ran.code
    rate = ran.report["headline"]["answer"]
    assert pytest.approx((1 + 6) / 15) == rate["value"]
    assert 1 == rate["prompts"]
    assert rate["high"] - rate["low"] > 0.7  # one prompt says next to nothing of others
    # Of 20 ways to choose three, 2 x C(4,1) = 8 have both 41s on one side; then 41 wins there and 42 on the other.
    majority = next(each for each in ran.report["policies"] if each["name"] == "majority")
    assert abs(majority["answer"]["value"] - 12 / 20) < 5 * (0.6 * 0.4 / 100) ** 0.5


async def test_answers_by_a_rule(audit: Audit) -> None:
    """Texts that differ around the same number are the same answer."""
    async with open_upstream("It is 41.", "41") as upstream:
        ran = await audit(upstream.url, "--answer", "number", "--fail-under", "1")
    assert 0 == ran.code
    assert ran.report["headline"]["text"]["value"] < 1.0 == ran.report["headline"]["answer"]["value"]


async def test_429_is_honoured(audit: Audit) -> None:
    """A busy server is asked again when it says so, and nothing is missing in the end."""
    async with open_upstream("same") as upstream:
        upstream.answers = [BUSY, "same", "same", BUSY, "same", "same", "same"]
        ran = await audit(upstream.url)
    assert 0 == ran.code
    assert "waiting 0 s, as the server asks: status 429: slow down" in ran.err
    assert (PLANNED, 0, True) == (ran.report["heard"], ran.report["missed"], ran.report["complete"])
    assert sum(each["late"] for each in ran.report["conditions"] if each["kind"] == "alone") > 0


async def test_a_bound_on_all_requests(audit: Audit) -> None:
    """More than --max-requests is not begun; the message says how to ask for less."""
    async with open_upstream("same") as upstream:
        ran = await audit(upstream.url, "--max-requests", "44")
    assert (2, []) == (ran.code, planned(upstream))
    assert f"{PLANNED} requests are more than --max-requests 44" in ran.err


async def test_the_bound_counts_what_is_sent_again(audit: Audit) -> None:
    """Requests sent again while the server is busy are within the bound too; then there is a report to go on from."""
    async with open_upstream("same") as upstream:
        upstream.answers = ["same", "same", BUSY]
        ran = await audit(upstream.url, "--max-requests", str(PLANNED))
    assert 1 == ran.code
    assert len(planned(upstream)) <= PLANNED
    assert "--max-requests 45 is reached; the same command with --resume goes on" in ran.err
    assert not ran.report["complete"]


async def test_a_dry_run_asks_nothing(audit: Audit) -> None:
    """It says what would be asked, and writes nothing."""
    async with open_upstream("same") as upstream:
        ran = await audit(upstream.url, "--dry-run")
    assert (0, []) == (ran.code, planned(upstream))
    assert f"{PLANNED} requests of m" in ran.err
    assert [] == list(audit.folder.iterdir())


async def test_dying_midway_and_resumed(audit: Audit) -> None:
    """A server that dies costs no answer: there is a report, --resume asks only what is missing, and joins it."""
    async with open_upstream("same") as upstream:
        upstream.answers = [*["same"] * 12, *[RESET] * 400]
        died = await audit(upstream.url, "--fail-under", "0.5")
        assert 1 == died.code
        assert "the same command with --resume goes on" in died.err
        assert not died.report["complete"]
        before = died.report["heard"]
        assert 0 < before < PLANNED
        upstream.answers, upstream.seen = ["same"], []
        ran = await audit(upstream.url, "--fail-under", "0.5", "--resume")
    assert 0 == ran.code
    assert (PLANNED, True) == (ran.report["heard"], ran.report["complete"])
    asked = len(planned(upstream))
    assert PLANNED - before <= asked < PLANNED  # of a group that was cut, all copies are asked again
    assert f"of {PLANNED} are there already" in ran.err


async def test_what_is_there_is_not_overwritten(audit: Audit) -> None:
    """A second audit needs a word: --resume asks nothing that is there, --fresh keeps the old one aside."""
    async with open_upstream("same") as upstream:
        assert 0 == (await audit(upstream.url)).code
        again = await audit(upstream.url)
        assert 2 == again.code
        assert "a.jsonl is there already: --resume goes on with it, --fresh starts over" in again.err
        upstream.seen = []
        assert 0 == (await audit(upstream.url, "--resume")).code
        assert [] == planned(upstream)
        other = await audit(upstream.url, "--resume", "--seed", "2")
        assert 2 == other.code
        assert "was begun with another seed (1, now 2)" in other.err
        fresh = await audit(upstream.url, "--fresh")
        assert (0, PLANNED) == (fresh.code, len(planned(upstream)))
        assert (audit.folder / "a.1.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "n"), "has no model 'n'; known: m"),
        (("--prompts", "/no/such/file"), "/no/such/file: No such file or directory"),
        (("--resume",), "a.jsonl: No such file or directory"),
    ],
)
async def test_bad_usage_is_one_line(words: Sequence[str], said: str, audit: Audit) -> None:
    """Exit code 2, one line that names what is wrong and what is known, and no request that counts."""
    async with open_upstream("same") as upstream:
        ran = await audit(upstream.url, *words)
    assert (2, []) == (ran.code, planned(upstream))
    assert said in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "the following arguments are required: URL"),
        (("ftp://x",), "expected a url like http://host:8000, got 'ftp://x'"),
        (("http://x", "--fail-under", "99"), "expected a share from 0 to 1, got '99'"),
        (("http://x", "--concurrency", "1,x"), "expected a whole number of at least 1, got 'x'"),
        (
            ("http://x", "--phases", "alone,nowhere"),
            "no phase 'nowhere'; known: alone, together, mixed, apart",
        ),
        (("http://x", "--answer", "similar"), "expected auto, text, normalized"),
        (("http://x", "--header", "nonsense"), "expected NAME:VALUE, got 'nonsense'"),
        (("http://x", "--copies", "1"), "expected a whole number of at least 2, got '1'"),
        (("http://x", "--resume", "--fresh"), "not allowed with argument"),
    ],
)
def test_bad_flags(words: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """argparse's exit code 2, one line with the value and what was expected."""
    assert 2 == main(["audit", *words])
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


async def test_no_server_there(audit: Audit) -> None:
    """The URL is named."""
    async with open_upstream() as upstream:
        url = upstream.url
    ran = await audit(url)
    assert 2 == ran.code
    assert f"scg audit: {url}: no server answers there\n" == ran.err


async def test_a_prompts_file_with_a_fault(audit: Audit) -> None:
    """File, line and fault, before anything is asked."""
    path = audit.folder / "p.jsonl"
    path.write_text('{"prompt": "a"}\n{"prompt": 2}\n')
    async with open_upstream() as upstream:
        ran = await audit(upstream.url, "--prompts", str(path))
    assert (2, 0) == (ran.code, len(upstream.seen))
    assert f"scg audit: {path}:2: prompt must be a text\n" == ran.err


async def test_prompts_of_ones_own(audit: Audit) -> None:
    """Their members go with them and beat the flags; the key comes from its variable, headers from flags."""
    path = audit.folder / "p.jsonl"
    path.write_text(
        '{"messages": [{"role": "user", "content": "a"}], "max_tokens": 7, "stop": ["x"]}\n{"prompt": "b"}\n'
    )
    async with open_upstream("same") as upstream:
        ran = await audit(
            upstream.url, "--prompts", str(path), "--header", "X-Team: a", "--api-key-env", "PATH"
        )
    assert 0 == ran.code
    bodies = planned(upstream)
    assert {(7, "x"), (128, None)} == {(body["max_tokens"], *(body.get("stop") or [None])) for body in bodies}
    assert {"/v1/chat/completions", "/v1/completions"} == {seen.path for seen in upstream.seen}
    assert {"a"} == {seen.headers["x-team"] for seen in upstream.seen}
    assert all(seen.headers["authorization"].startswith("Bearer /") for seen in upstream.seen)


async def test_a_server_that_takes_no_chats(audit: Audit) -> None:
    """Where chats are refused, the same texts are asked as completions, unless --endpoint says chat."""
    async with open_upstream() as upstream:
        upstream.answers = [400, *["same"] * (PLANNED + 1)]
        assert 0 == (await audit(upstream.url)).code
        asked = Counter(seen.path for seen in upstream.seen)
        assert {"/v1/chat/completions": 1, "/v1/completions": PLANNED + 1} == asked
        upstream.answers, upstream.seen = [400], []
        refused = await audit(upstream.url, "--endpoint", "chat", "--fresh")
    assert 2 == refused.code
    assert "/v1/chat/completions: status 400: scripted 400" in refused.err


async def test_answers_that_are_none(audit: Audit) -> None:
    """HTML is no completion: nothing to audit, said in one line."""
    async with open_upstream(HTML) as upstream:
        ran = await audit(upstream.url)
    assert 2 == ran.code
    assert "no completion: " in ran.err


async def test_replicas(audit: Audit) -> None:
    """Copies go round the URLs, and how far replicas agree is told apart from how far each agrees with itself."""
    async with open_upstream("one") as one, open_upstream("two") as two:
        ran = await audit(one.url, two.url)
    assert abs(len(planned(one)) - len(planned(two))) <= PLANNED // 3
    assert (1.0, 0.0) == (
        ran.report["replicas_within"]["value"],
        ran.report["replicas_between"]["value"],
    )


async def test_a_reference_lane_of_its_own(audit: Audit) -> None:
    """With --reference the lane is asked one at a time, and policies that use one are tried with its answers."""
    async with open_upstream(*map(str, range(100))) as fast, open_upstream("lane") as lane:
        ran = await audit(
            *(fast.url, "--reference", lane.url, "--phases", "apart"),
            small=(
                "--prompt-count",
                "3",
                "--copies",
                "6",
                "--concurrency",
                "1,2",
                "--gap",
                "0",
                "--rate",
                "0",
            ),
        )
    assert {"lane": 9, "apart": 18} == {each["kind"]: each["answers"] for each in ran.report["conditions"]}
    assert (9, 18) == (len(planned(lane)), len(planned(fast)))
    policies = {each["name"]: each["text"]["value"] for each in ran.report["policies"]}
    assert 1.0 == policies["strict"] == policies["serial"]
    assert 0.0 == policies["single"]
    assert {"single", "majority", "strict", "serial"} == policies.keys()


async def test_salts_where_the_engine_takes_them(audit: Audit) -> None:
    """On vLLM copies apart have prefix caches of their own; --no-salt leaves them out."""
    async with open_upstream("same") as upstream:
        models = json.loads(upstream.models.body)
        models["data"][0]["owned_by"] = "vllm"
        upstream.models = Reply(body=json.dumps(models).encode())
        await audit(upstream.url, "--phases", "apart")
        salts = Counter(body["cache_salt"] for body in planned(upstream))
        assert [3] * 4 == list(salts.values())
        upstream.seen = []
        await audit(upstream.url, "--phases", "apart", "--no-salt", "--fresh")
    assert all("cache_salt" not in body for body in planned(upstream))


async def test_through_a_gateway(audit: Audit) -> None:
    """A gateway is recognised and asked to vote anew, its own figures are told; with --pins it answers from them."""
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as gateway:
        fresh = await audit(gateway.url)
        assert {"vote"} == {name for name, _ in fresh.report["through"]["sources"]}
        assert any("asked not to use its pins" in note for note in fresh.report["notes"])
        pinned = await audit(gateway.url, "--pins", "--fresh")
    assert "cache" in {name for name, _ in pinned.report["through"]["sources"]}
    assert 1.0 == pinned.report["headline"]["answer"]["value"]
    assert any("same by its making" in note for note in pinned.report["notes"])
    assert "answers from cache" in pinned.out


@pytest.mark.processes
async def test_ctrl_c_leaves_a_report(tmp_path: Path) -> None:
    """Interrupted: exit code 130, a report of what is there, and how to go on."""
    async with open_upstream("same") as upstream:
        upstream.gates = {at: asyncio.Event() for at in range(12, 1000)}
        async with begun("audit", upstream.url, *SMALL, "--out", str(tmp_path / "a")) as process:
            await upstream.asked(13)
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
    assert 130 == process.returncode, err.decode()
    assert b"interrupted; the same command with --resume goes on" in err
    assert b"Traceback" not in err
    report = json.loads((tmp_path / "a.json").read_text())
    assert not report["complete"]
    assert report["heard"] > 0
    assert b"Not finished" in out


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="needs a pseudo-terminal as Linux has it")
async def test_a_live_display_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal the progress is rich's, with a bar for each phase."""
    import os
    import pty

    async with open_upstream("same") as upstream:
        ours, theirs = pty.openpty()
        async with begun(
            *("audit", upstream.url, *SMALL, "--out", str(tmp_path / "a")),
            environ={"TERM": "xterm", "COLUMNS": "100"},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            shown = await asyncio.to_thread(_drain, ours)
            assert 0 == await process.wait()
    assert "apart @2" in shown
    assert "12/12" in shown


def _drain(terminal: int) -> str:
    import os

    shown = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux says so at the end
            piece = b""
        if not piece:
            os.close(terminal)
            return shown.decode(errors="replace")
        shown += piece
