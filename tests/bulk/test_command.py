"""`scg bulk` through real gateways before scripted upstreams: what is asked, what is written, what is said."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from gateway.__main__ import main
from gateway.serving.keyring import digest_of
from gateway.settings.model import KeySettings, RetrySettings
from tests.cli.commands import begun
from tests.doubles.gateway import open_gateway
from tests.doubles.upstream import RESET, Answer, Reply, Upstream, open_upstream, plain
from tests.doubles.waiting import until

KEY = "scg-0123456789abcdefghij"
BUSY = Reply(
    429, b'{"error": {"message": "slow down"}}', {"content-type": "application/json", "retry-after": "0"}
)
NONE = RetrySettings(limit=0)  # of the gateway's own; a round replaces its first abstention all the same
VOTED = Reply(
    body=plain("41", 0),
    headers={
        "content-type": "application/json",
        "x-consistency-source": "vote",
        "x-consistency-agreement": "1.00",
    },
)


@dataclass
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str
    lines: dict[str, Any]  # of the output, by custom_id

    def told(self, name: str) -> list[Any]:
        """A figure of each line, in the order of the input."""
        return [self.lines[each]["consistency"][name] for each in sorted(self.lines)]


@dataclass
class Bulk:
    """Runs the command in a folder of its own, beside the test's servers."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def write(self, *lines: str) -> Path:
        file = self.folder / "q.jsonl"
        file.write_text("\n".join(lines), encoding="utf-8")
        return file

    async def __call__(self, *words: str) -> Ran:
        file, out = self.folder / "q.jsonl", self.folder / "q.out.jsonl"
        code = await asyncio.to_thread(main, ["bulk", str(file), *words])
        told = self.capsys.readouterr()
        return Ran(code, told.out, told.err, read(out))


def read(out: Path) -> dict[str, Any]:
    """The output by custom_id; none may be there twice."""
    lines = [json.loads(line) for line in out.read_bytes().splitlines()] if out.exists() else []
    found = {line["custom_id"]: line for line in lines}
    assert len(lines) == len(found)
    return found


@pytest.fixture
def bulk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bulk:
    for name in ("SCG_API_KEY", "SCG_CONFIG", "SCG_HOST", "SCG_PORT"):
        monkeypatch.delenv(name, raising=False)
    return Bulk(tmp_path, capsys)


def line(custom_id: str, url: str = "/v1/chat/completions", **members: Any) -> str:
    body = {"model": "m", "messages": [{"role": "user", "content": custom_id}], "temperature": 0} | members
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": url, "body": body})


def questions(number: int) -> Sequence[str]:
    return [line(f"q{at:02}") for at in range(number)]


def asked(upstream: Upstream) -> Counter[str]:
    """How many samples each question had."""
    return Counter(seen.body["messages"][-1]["content"] for seen in upstream.seen)


async def test_41_42_42(bulk: Bulk) -> None:
    """Each answer is the vote's, with its outcome and figures, in the batch format; the summary adds them up."""
    bulk.write(line("a"), line("b"))
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as gateway:
        ran = await bulk("--url", gateway.url, "--concurrency", "1")
    assert 0 == ran.code
    assert {"a", "b"} == ran.lines.keys()
    for each in ran.lines.values():
        assert "42" == each["response"]["body"]["choices"][0]["message"]["content"]
        assert (200, None) == (each["response"]["status_code"], each["error"])
        assert each["response"]["request_id"]
        assert each["id"].startswith("batch_req_")
    assert [("majority", 0.67, 3, 3, 2, 1, "vote")] * 2 == [
        tuple(
            each["consistency"][name]
            for name in ("outcome", "agreement", "k", "samples", "distinct", "divergence", "source")
        )
        for each in ran.lines.values()
    ]
    assert 64 == len(ran.lines["a"]["consistency"]["key"])
    assert "2 of 2 lines answered\nagreement    0.670 [" in ran.out
    assert "outcomes     majority 2\nanswered by  vote 2\n" in ran.out
    assert "tokens       18 spent, 6 returned" in ran.out
    assert "samples      6 cast, 0 saved" in ran.out
    assert "0.67  majority   2 distinct of 3   a  a -> 42" in ran.out


async def test_the_order_is_that_of_the_answers(bulk: Bulk) -> None:
    """An answer that comes late holds nothing back: it stands behind those that came before it."""
    bulk.write(line("slow"), line("quick"))
    async with open_upstream("ok") as upstream, open_gateway(upstream) as gateway:
        held = upstream.gates[0] = asyncio.Event()
        running = asyncio.create_task(bulk("--url", gateway.url, "--k", "1"))
        out = bulk.folder / "q.out.jsonl"
        await until(lambda: out.exists() and out.stat().st_size > 0)
        held.set()
        ran = await running
    first = json.loads(upstream.seen[0].raw)["messages"][0]["content"]
    assert 0 == ran.code
    assert first == list(ran.lines)[-1]


async def test_flags_and_members_of_lines(bulk: Bulk) -> None:
    """--policy, --k and --answer hold for every line, a line's own `consistency` beats them; defaults fill gaps."""
    own = line("own", consistency={"k": 1})
    bulk.write(own, json.dumps({"prompt": "p"}), line("n", "/v1/messages", max_tokens=9))
    words = (
        "--policy",
        "strict",
        "--k",
        "2",
        "--answer",
        "number",
        "--model",
        "n",
        "--defaults",
        '{"seed": 7}',
    )
    async with open_upstream("It is 4", "4!") as upstream, open_gateway(upstream) as gateway:
        refused = await bulk("--url", gateway.url, *words)
        assert 2 == refused.code  # strict wants a reference lane
        assert "does not take what the flags ask for: status 400: x-consistency-policy" in refused.err
        ran = await bulk("--url", gateway.url, "--policy", "majority", *words[2:])
    assert (0, ["unanimous", "unanimous", "single"], [2, 2, 1]) == (
        ran.code,
        ran.told("outcome"),
        ran.told("k"),
    )
    bodies = [seen.body for seen in upstream.seen if seen.path == "/v1/completions"]
    assert {("n", "p", 7), ("n", "p", 8)} == {
        (body["model"], body["prompt"], body["seed"]) for body in bodies
    }


async def test_plain_text_and_the_least_certain(bulk: Bulk) -> None:
    """Lines of text are chats with --model; those that agreed least are named first, as many as --show says."""
    bulk.write("sure", "unsure\x1b[2J", "split")
    script = ["1", "1", "1", "2", "2", "1", "2", "3"]
    async with open_upstream(*script) as upstream, open_gateway(upstream) as gateway:
        ran = await bulk("--url", gateway.url, "--model", "m", "--concurrency", "1", "--show", "1")
    assert 0 == ran.code
    assert [1.0, 0.67, 0.33] == ran.told("agreement")
    assert "samples      8 cast, 1 saved (1 by stopping early, 0 by pins and shared votes)" in ran.out
    assert "\n  0.33  tie        3 distinct of 3   line-3  split -> " in ran.out
    assert "  … and 1 more\n" in ran.out
    assert "\x1b" not in ran.out


async def test_pins_are_told_apart(bulk: Bulk) -> None:
    """What comes from pins cost nothing: no tokens spent, all k samples saved; the old answers are kept aside."""
    bulk.write(*questions(3))
    async with open_upstream("ok") as upstream, open_gateway(upstream) as gateway:
        await bulk("--url", gateway.url)
        ran = await bulk("--url", gateway.url, "--fresh")
    assert (0, 6) == (ran.code, len(upstream.seen))
    assert "answered by  cache 3\ntokens       0 spent, 9 returned" in ran.out
    assert "0 cast, 9 saved (0 by stopping early, 9 by pins and shared votes)" in ran.out
    aside = bulk.folder / "q.out.1.jsonl"
    assert 3 == len(read(aside))
    assert f"kept the old {bulk.folder / 'q.out.jsonl'} as {aside}\n" in ran.err


async def test_a_refused_policy_moves_nothing(bulk: Bulk) -> None:
    """Starting over with a policy that is not there leaves the old answers where they are."""
    bulk.write(*questions(2))
    async with open_upstream("ok") as upstream, open_gateway(upstream) as gateway:
        await bulk("--url", gateway.url)
        refused = await bulk("--url", gateway.url, "--fresh", "--policy", "strct")
    assert (2, 2) == (refused.code, len(refused.lines))
    assert "no policy 'strct'" in refused.err
    assert not (bulk.folder / "q.out.1.jsonl").exists()


async def test_busy_gateways_are_asked_later(bulk: Bulk) -> None:
    """429 with retry-after: the line is asked again when the gateway says so, and nothing is missing."""
    bulk.write(*questions(3))
    async with (
        open_upstream(BUSY, BUSY, "ok", "ok", "ok") as upstream,
        open_gateway(upstream, retries=NONE) as gateway,
    ):
        ran = await bulk("--url", gateway.url, "--k", "1", "--concurrency", "1")
    assert (0, {"q00", "q01", "q02"}) == (ran.code, set(ran.lines))
    assert "waiting 0 s: status 429: slow down" in ran.err
    assert "3 of 3 lines answered\n" in ran.out


async def test_tries_are_bounded_and_what_failed_is_asked_again(bulk: Bulk) -> None:
    """After --tries the line has the refusal as its response: exit code 1; the same command asks it, and only it."""
    bulk.write(*questions(3))
    words = ("--k", "1", "--concurrency", "1", "--tries", "2")
    async with (
        open_upstream("ok", *[BUSY] * 4, "ok") as upstream,
        open_gateway(upstream, retries=NONE) as gateway,
    ):
        ran = await bulk("--url", gateway.url, *words)
        assert 1 == ran.code
        assert 429 == ran.lines["q01"]["response"]["status_code"]
        assert "2 of 3 lines answered, 1 without an answer" in ran.out
        assert "  q01: status 429: slow down\n" in ran.out
        assert "1 of 3 lines have no answer; the same command asks them again" in ran.err
        upstream.answers, upstream.seen = ["ok"], []
        ran = await bulk("--url", gateway.url, *words)
    assert (0, {"q01": 1}) == (ran.code, asked(upstream))
    assert {200} == {each["response"]["status_code"] for each in ran.lines.values()}
    assert "1 lines to ask" in ran.err
    assert "2 of 3 are there already" in ran.err


async def test_a_connection_that_breaks(bulk: Bulk) -> None:
    """The line is asked again, after a while; a first time at once, as the connection may have been an old one."""
    bulk.write(line("a"))
    async with open_upstream(RESET, RESET, VOTED) as upstream:
        ran = await bulk("--url", upstream.url)
    assert (0, 3) == (ran.code, len(upstream.seen))
    assert "waiting 1 s: broken: " in ran.err


async def test_a_gateway_that_is_gone(bulk: Bulk) -> None:
    """Lines that found nobody for all their tries end it: what is there is there, the rest is said to be left."""
    bulk.write(*questions(9))
    async with open_upstream(VOTED, RESET, RESET, RESET, RESET) as upstream:
        ran = await bulk("--url", upstream.url, "--concurrency", "1", "--tries", "1")
    assert 1 == ran.code
    assert "the last 2 lines had no answer: broken: " in ran.err
    assert "1 of 9 lines answered, 2 without an answer, 6 not asked yet" in ran.out
    assert "broken" == ran.lines["q01"]["error"]["code"]
    assert ran.lines["q01"]["response"] is None


@pytest.mark.processes
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_ended_and_gone_on_with(how: signal.Signals, bulk: Bulk) -> None:
    """Killed or interrupted, in mid-write too: the same command asks what is missing, each question once in all."""
    file, out = bulk.write(*questions(8)), bulk.folder / "q.out.jsonl"
    async with open_upstream("ok") as upstream, open_gateway(upstream) as gateway:
        upstream.gates = {at: asyncio.Event() for at in range(4, 8)}
        words = ("--url", gateway.url, "--k", "1", "--concurrency", "1")
        async with begun("bulk", str(file), *words) as process:
            await upstream.asked(5)  # the fifth is held: four are written
            process.send_signal(how)
            told, err = await process.communicate()
        await upstream.seen[4].closed.wait()  # nobody joins what it had asked for
        assert 4 == len(read(out))
        if how == signal.SIGINT:
            assert 130 == process.returncode, err.decode()
            assert b"interrupted; the same command goes on" in err
            assert b"4 of 8 lines answered, 4 not asked yet" in told
            assert b"Traceback" not in err
        whole = out.read_bytes()
        out.write_bytes(whole + whole[:100])
        upstream.gates, upstream.seen = {}, []
        ran = await bulk(*words)
    assert (0, 8) == (ran.code, len(ran.lines))
    assert whole == out.read_bytes()[: len(whole)]
    assert {f"q{at:02}": 1 for at in range(4, 8)} == asked(upstream)


async def test_two_at_once(bulk: Bulk) -> None:
    """A second command on the same file asks nothing."""
    bulk.write(line("a"))
    async with open_upstream("ok") as upstream, open_gateway(upstream) as gateway:
        held = upstream.gates[0] = asyncio.Event()
        running = asyncio.create_task(bulk("--url", gateway.url, "--k", "1"))
        await upstream.asked(1)
        second = await asyncio.to_thread(
            main, ["bulk", str(bulk.folder / "q.jsonl"), "--url", gateway.url, "--k", "1"]
        )
        held.set()
        assert (2, 0) == (second, (await running).code)
    assert 1 == len(upstream.seen)


async def test_another_question_under_the_same_name(bulk: Bulk) -> None:
    """Answers to something else are not taken for answers: one line, exit code 2, and no request."""
    bulk.write(line("a"))
    async with open_upstream("ok") as upstream, open_gateway(upstream) as gateway:
        await bulk("--url", gateway.url)
        upstream.seen = []
        for words in (("--k", "5"), ("--policy", "single"), ("--header", "X-Consistency-Stop: all")):
            ran = await bulk("--url", gateway.url, *words)
            assert (2, []) == (ran.code, upstream.seen)
            assert (
                "q.out.jsonl:1: under custom_id 'a' something else was asked, or with other flags" in ran.err
            )
        assert 0 == (await bulk("--url", gateway.url)).code


@pytest.mark.parametrize(("limit", "code"), [("0.6", 0), ("0.67", 0), ("0.7", 1)])
async def test_fail_under(limit: str, code: int, bulk: Bulk) -> None:
    """Exit code 1 if the mean agreement is below, with the figure and its interval."""
    bulk.write(line("a"))
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as gateway:
        ran = await bulk("--url", gateway.url, "--fail-under", limit)
    assert code == ran.code
    assert bool(code) == ("the mean agreement 0.6700 (" in ran.err)
    assert bool(code) == (f"is below --fail-under {limit}" in ran.err)


async def test_a_verdict_that_there_is_no_answer(bulk: Bulk) -> None:
    """Under `reject` a line's response is the 422, its agreement counts, and it is not asked again."""
    bulk.write(line("a", consistency={"on_disagreement": "reject", "min_agreement": 0.9}))
    async with open_upstream("41", "42", "42") as upstream, open_gateway(upstream) as gateway:
        for _ in range(2):
            ran = await bulk("--url", gateway.url, "--fail-under", "0.5")
            assert (0, 422) == (ran.code, ran.lines["a"]["response"]["status_code"])
        assert 3 == len(upstream.seen)
    assert "agreement    0.670 [" in ran.out
    assert "a -> …ow min_agreement 0.9: 3 samples, votes 2-1"[-20:] in ran.out


async def test_keys(bulk: Bulk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key comes from SCG_API_KEY or a file, and is nowhere in what is written; a wrong one ends it at once."""
    bulk.write(*questions(9))
    key = bulk.folder / "key.txt"
    key.write_text(f"{KEY}\n")
    async with (
        open_upstream("ok") as upstream,
        open_gateway(upstream, keys=(KeySettings(name="team", sha256=digest_of(KEY)),)) as gateway,
    ):
        none = await bulk("--url", gateway.url)
        assert (2, {}, []) == (none.code, none.lines, upstream.seen)
        assert "refuses (is the key right? SCG_API_KEY, --api-key-file): status 401: " in none.err
        monkeypatch.setenv("SCG_API_KEY", "scg-wrong-0123456789abcd")
        wrong = await bulk("--url", gateway.url)
        assert (2, {}) == (wrong.code, wrong.lines)
        by_file = await bulk("--url", gateway.url, "--api-key-file", str(key))
        assert (0, 9) == (by_file.code, len(by_file.lines))
        monkeypatch.setenv("SCG_API_KEY", KEY)
        ran = await bulk("--url", gateway.url, "--fresh")
    assert (0, 9) == (ran.code, len(ran.lines))
    assert KEY not in ran.out + ran.err + wrong.err + (bulk.folder / "q.out.jsonl").read_text()


async def test_a_bad_line_among_good_ones(bulk: Bulk) -> None:
    """File, line and fault, before anything is asked or written."""
    file = bulk.write(line("a"), line("b", n=2), line("c"))
    async with open_upstream() as upstream, open_gateway(upstream) as gateway:
        ran = await bulk("--url", gateway.url)
    assert (2, {}, []) == (ran.code, ran.lines, upstream.seen)
    assert f"scg bulk: {file}:2: n: such a request cannot be voted on\n" == ran.err


@pytest.mark.parametrize("answers", [("ok",), ("ok", "ok", "ok")])
async def test_a_server_that_is_no_gateway(answers: Sequence[Answer], bulk: Bulk) -> None:
    """Its answers have no agreement to tell: said at the first one, which is no answer."""
    bulk.write(*questions(9))
    async with open_upstream(*answers) as upstream:
        ran = await bulk("--url", upstream.url, "--concurrency", "1")
    assert (2, {}, 1) == (ran.code, ran.lines, len(upstream.seen))
    assert f"scg bulk: {upstream.url} is no gateway: its answers say nothing of a vote\n" in ran.err


async def test_nobody_there(bulk: Bulk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL is named: by --url, by SCG_PORT, by the host and port of --config."""
    bulk.write(line("a"))
    async with open_upstream() as upstream:
        url = upstream.url
    port = url.rpartition(":")[2]
    config = bulk.folder / "scg.yaml"
    config.write_text(f"port: {port}\nupstreams: [{{url: http://a}}]\n")
    monkeypatch.setenv("SCG_API_KEY", KEY)  # which is no setting
    for words in (("--url", url), ("--config", str(config))):
        ran = await bulk(*words)
        assert (2, {}) == (ran.code, ran.lines)
        assert f"scg bulk: {url}: no gateway answers there (" in ran.err
    monkeypatch.setenv("SCG_PORT", port)
    assert f"{url}: no gateway answers there" in (await bulk()).err
    assert ["q.jsonl", "scg.yaml"] == sorted(path.name for path in bulk.folder.iterdir())


async def test_a_dry_run(bulk: Bulk) -> None:
    """All lines are checked, and nothing is asked or written."""
    bulk.write(*questions(2))
    ran = await bulk("--dry-run", "--url", "http://127.0.0.1:1")
    assert (0, {}, "") == (ran.code, ran.lines, ran.out)
    assert "scg bulk: 2 lines, all in order; nothing is asked of http://127.0.0.1:1\n" == ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "the following arguments are required: FILE"),
        (("/no/such",), "/no/such: No such file or directory"),
        (("-",), "--out is needed where the questions come from standard input"),
        (("x", "--url", "ftp://x"), "expected a url like http://host:8000, got 'ftp://x'"),
        (("x", "--url", "http://x", "--config", "y"), "not allowed with argument"),
        (("x", "--fail-under", "90"), "expected a share from 0 to 1, got '90'"),
        (("x", "--k", "0"), "expected a whole number of at least 1, got '0'"),
        (("x", "--answer", "regex:a"), "regex answers are for the gateway's configuration only"),
        (("x", "--answer", "similar"), "expected auto, text, normalized"),
        (("x", "--policy", ""), "expected a policy's name, got ''"),
        (("x", "--defaults", "[]"), "expected a JSON object, got '[]'"),
        (("x", "--defaults", "{"), "expected a JSON object (Expecting property name"),
        (("x", "--header", "nonsense"), "expected NAME:VALUE, got 'nonsense'"),
    ],
)
def test_bad_usage(
    words: Sequence[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, one line with the value and what was expected."""
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b'{"model": "m", "prompt": "p"}')))
    assert 2 == main(["bulk", *words])
    (told,) = capsys.readouterr().err.splitlines()
    assert said in told


@pytest.mark.parametrize(
    ("piped", "code", "said"), [("é?", 0, "1 lines to ask"), ("\udcff", 2, "standard input: is not UTF-8")]
)
async def test_questions_from_a_pipe(
    piped: str, code: int, said: str, bulk: Bulk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-` is standard input, whatever the locale says of its encoding."""
    raw = piped.encode(errors="surrogateescape")
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(raw), encoding="ascii"))
    out = bulk.folder / "out"
    async with open_upstream("ok") as upstream, open_gateway(upstream) as gateway:
        words = ["bulk", "-", "--out", str(out), "--url", gateway.url, "--model", "m"]
        assert code == await asyncio.to_thread(main, words)
    assert said in bulk.capsys.readouterr().err
    assert ({} if code else {"line-1"}) == (read(out).keys() if out.exists() else {})


async def test_files_that_cannot_be(bulk: Bulk) -> None:
    """The output may not be the input, a key must be one, and a folder must be there: each is named."""
    file, key = bulk.write(line("a")), bulk.folder / "key"
    key.write_text("two\nlines\n")
    for words, said in (
        (("--out", str(file)), f"--out {file}: is the file of the questions"),
        (("--api-key-file", str(key)), f"{key}: expected a key, one line of printable ASCII"),
        (("--out", "/dev/null"), "--out /dev/null: is no plain file, which can be gone on with"),
        (("--out", "/no/such/place"), "/no/such/place: No such file or directory"),
    ):
        ran = await bulk(*words)
        assert (2, f"scg bulk: {said}\n") == (ran.code, ran.err)
