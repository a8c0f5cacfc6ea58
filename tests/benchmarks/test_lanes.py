"""Lanes compared: figures against ones counted by hand, claims, the kept file, and the command on a scripted server."""

import asyncio
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.lanes.claims import CLAIMS, verdicts
from benchmarks.lanes.figures import Quantile, figures
from benchmarks.lanes.kept import CUT, Answer, Kept, Run
from benchmarks.lanes.page import Found, page, read
from benchmarks.lanes.questions import Load, body, one_round
from benchmarks.processes import BenchError
from tests.doubles.upstream import HANG, open_upstream
from tests.doubles.upstream import Answer as Scripted

ROOT = Path(__file__).parents[2]
ABOUT: dict[str, Any] = {
    "date": "2026-01-02", "about": "a model", "model": "m", "engines": {"fast": "vllm"},
    "load": {
        "questions": "words", "prompts": 2, "repeated": 1, "copies": 3, "characters": 9, "tokens": 8, "in_flight": 4,
    },
    "gpu": "", "machine": {"processor": "P", "cores": "2"},
}  # fmt: skip


def kept(name: str, texts: str, *, seconds: float = 1.0, **members: Any) -> Kept:
    """Prompt 0 three times and prompt 1 once in each of two rounds; `texts` in that order, 100 ms apart in latency."""
    places = [(prompt, number) for number in (0, 1) for prompt in (0, 0, 0, 1)]
    answers = [
        Answer(prompt, number, 100.0 * (at + 1), text)
        for at, ((prompt, number), text) in enumerate(zip(places, texts, strict=True))
    ]
    return Kept(name, name, [seconds, seconds], answers, is_complete=True, **members)


def run_of(*scenarios: Kept) -> Run:
    return Run(Path("x.json"), ABOUT, {each.name: each for each in scenarios})


def test_figures_by_hand() -> None:
    """Eight answers in two seconds; prompt 0 has three texts, and of two prompts one has the same text again."""
    found = figures(kept("plain", "aabxacax", generated={"fast": 80.0}))
    assert found is not None
    assert (8, 4.0, (4.0, 4.0), 10.0) == (found.answers, found.per_second, found.rounds, found.tokens)
    assert (3, 3.0, 6.0) == (found.most_texts, found.mean_texts, found.copies)
    assert found.reproduced is not None
    assert (1.0, 2) == (found.reproduced.share, found.reproduced.prompts)
    changed = figures(kept("plain", "aabxacay"))
    assert changed is not None
    assert changed.reproduced is not None
    assert 0.5 == changed.reproduced.share
    assert (Quantile(500.0, is_bound=False), Quantile(800.0, is_bound=False)) == (found.p50, found.p99)


def test_what_was_cut_bounds_a_quantile() -> None:
    """A request that was cut off took at least as long: quantiles from there on are bounds, and tokens are unknown."""
    scenario = kept("serial", "aaaxaaax", generated={"fast": 80.0})
    scenario.answers[6] = replace(scenario.answers[6], fault=CUT)
    scenario.answers[7] = replace(scenario.answers[7], fault="503: no")
    found = figures(scenario)
    assert found is not None
    assert (6, 1, 1, None) == (found.answers, found.cut, found.faults, found.tokens)
    assert (Quantile(400.0, is_bound=False), Quantile(700.0, is_bound=True)) == (found.p50, found.p99)


def test_unanimous_votes_are_counted_among_votes() -> None:
    """A vote of one sample says nothing of agreement; without any other there is no share."""
    scenario = kept("majority", "aaaxaaax")
    told = [(1, 1.0), (1, 1.0), (1, 1.0), (1, 1.0), (2, 1.0), (3, 0.67), (3, 1.0), (3, 0.33)]
    scenario.answers = [
        replace(answer, samples=samples, agreement=agreement)
        for answer, (samples, agreement) in zip(scenario.answers, told, strict=True)
    ]
    found = figures(scenario)
    assert found is not None
    assert 0.5 == found.unanimous
    scenario.answers = scenario.answers[:4]
    of_one_each = figures(scenario)
    assert of_one_each is not None
    assert of_one_each.unanimous is None


APART = {"policy": "single", "spread": "apart", "rate": 0.9, "interval": [0.6, 0.98], "questions": 20}
BEARS_OUT = {
    "plain": {"texts": "aabxacay", "generated": {"fast": 80.0}},
    "measured": {
        "texts": "aabxacax", "seconds": 1.1, "generated": {"fast": 90.0}, "rates": [APART | {"interval": [0.4, 0.98]}],
    },
    "invariant": {"texts": "aaaxaaax", "seconds": 1.5},
    "pinned": {"texts": "aaaxaaax", "seconds": 0.04},
}  # fmt: skip
REFUTES: dict[str, dict[str, Any]] = {
    "measured": {"texts": "aabxacax", "seconds": 1.3, "generated": {"fast": 99.0}, "rates": [APART]},
    "invariant": {"texts": "aaaxaaay", "seconds": 1.9},
    "pinned": {"texts": "aaaxaaax", "seconds": 0.06},
}


@pytest.mark.parametrize(("scenarios", "holds"), [(BEARS_OUT, True), (BEARS_OUT | REFUTES, False)])
def test_claims(scenarios: dict[str, dict[str, Any]], holds: bool) -> None:  # noqa: FBT001 (a table's column)
    """Each claim is judged by its own bound: one run bears all of them out, the other refutes them all."""
    run = run_of(*(kept(name, **members) for name, members in scenarios.items()))
    assert [holds] * len(CLAIMS) == [seen is not None and seen.holds for _, seen in verdicts(run)]


def test_nothing_is_claimed_without_evidence() -> None:
    """What was not measured to its end is neither borne out nor refuted, and the page says so."""
    unfinished = kept("plain", "aaaxaaax")
    unfinished.is_complete = False
    run = run_of(unfinished)
    assert [None] * len(CLAIMS) == [seen for _, seen in verdicts(run)]
    written = page(Found([run]))
    assert len(CLAIMS) == written.count("not measured")
    assert "| plain (unfinished) |" in written


def test_a_kept_run_is_read_again(tmp_path: Path) -> None:
    """The file holds all of a run; what it was measured on and with may not change when it goes on."""
    run = replace(run_of(kept("plain", "aaaxaaax", rates=[APART])), path=tmp_path / "lanes.json")
    run.write()
    assert [run] == read(tmp_path).runs
    assert run == Run.open(run.path, ABOUT)
    with pytest.raises(BenchError, match="has another load"):
        Run.open(run.path, ABOUT | {"load": {}})


def test_the_page_tells_all_that_is_kept(tmp_path: Path) -> None:
    """Engines in the order of their load with what was checked, and the first token."""
    run = {"engine": "plain", "tokens_per_second": 9.0, "slowest": 8.0, "fastest": 9.5}
    run |= {"prompts": 4, "prompts_with_one_answer": 3}
    machine = {"device": "D", "torch": "1", "transformers": "2", "model": "M"}
    engines = {"machine": machine, "tokens": 7, "check": {"invariant": 0, "plain": 19, "rounds": 20}}
    engines |= {"runs": [run | {"in_flight": 64}, run | {"in_flight": 8}]}
    (tmp_path / "backend.json").write_text(json.dumps(engines))
    first = {"turns": 5, "seconds": {"straight": 0.01, "k=1": 0.02, "k=3": 0.03}}
    (tmp_path / "first_token.json").write_text(json.dumps(first))

    told = " ".join(page(read(tmp_path)).split())

    assert "No run on a GPU is kept yet" in told
    assert 0 < told.index("| plain | 8 | 9 | 8 - 10 | 3 of 4 |") < told.index("| plain | 64 |")
    assert "M, 7 tokens out, D, torch 1, transformers 2." in told
    assert "in 0 of 20 random compositions batch-invariant, in 19 plain" in told
    assert "median of 5 turns: straight 10.0 ms, through the gateway 20.0 ms with one sample, 30.0 ms" in told


def test_a_round_asks_what_it_should() -> None:
    """Every prompt once, some more often, in an order of the round's own, all of one length and a beginning apart."""
    load = Load(prompts=5, repeated=2, copies=3, characters=40)
    rounds = [one_round(load, number, range(5)) for number in (0, 1)]
    assert [0, 0, 0, 1, 1, 1, 2, 3, 4] == sorted(rounds[0]) == sorted(rounds[1])
    assert rounds[0] != rounds[1]
    prompts = [json.loads(body(load, "m", number, None))["prompt"] for number in range(5)]
    assert {40} == {len(prompt) for prompt in prompts}
    assert 5 == len({prompt[:2] for prompt in prompts})


def test_sums_are_asked_in_the_demo_model_s_form() -> None:
    """Each prompt is another sum, those for warming up included, and the model ends its answer itself."""
    load = Load(questions="sums", tokens=9)
    asked = [json.loads(body(load, "m", number, "s")) for number in range(-16, 200)]
    assert len(asked) == len({each["prompt"] for each in asked})
    assert all(re.fullmatch(r"<\|user\|>What is [-+ \d]+\?<\|assistant\|>", each["prompt"]) for each in asked)
    assert {"model", "prompt", "temperature", "seed", "max_tokens", "cache_salt"} == asked[0].keys()
    assert asked[:3] == [json.loads(body(load, "m", number, "s")) for number in (-16, -15, -14)]
    sums = run_of(kept("plain", "aaaxaaax"))
    sums.about = ABOUT | {"load": ABOUT["load"] | {"questions": "sums"}}
    assert "2 sums of 6 to 9 terms, 1 of them 3 times a round, at most 8 tokens out, 4 clients." in page(
        Found([sums])
    )


async def measured(
    out: Path, *arguments: str, answers: tuple[Scripted, ...] = ("a",)
) -> tuple[int, str, int]:
    """The command on a scripted fast lane: its exit code, what it printed, and how much the lane was asked."""
    async with open_upstream(*answers) as upstream:
        size = "--prompts 6 --repeated 1 --copies 3 --tokens 4 --characters 20 --in-flight 3 --hits 20"
        command = [
            sys.executable,
            "benchmarks/gpu.py",
            "--fast",
            upstream.url,
            "--out",
            str(out),
            *size.split(),
        ]
        process = await asyncio.create_subprocess_exec(
            *command, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        told, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, told.decode(), len(upstream.seen)


@pytest.mark.processes
async def test_the_command(tmp_path: Path) -> None:
    """Scenarios are measured in turn and kept; a second call measures what is missing, and nothing twice."""
    out, pinned = tmp_path / "lanes.json", ("--only", "plain", "majority-3", "pinned")
    code, told, asked = await measured(out, "--only", "plain", "majority-3")
    # To warm up and for two rounds of 8, once and by two samples.
    assert (0, 16 + 16 + 16 * 2 + 16 * 2) == (code, asked)
    code, told, asked = await measured(out, *pinned)
    # Hits cost nothing but what they are pinned with. One claim can be judged by now.
    holds = [seen.holds for _, seen in verdicts(Run.load(out)) if seen is not None]
    assert (0 if holds[0] else 1, 1, 16 * 2 + 3 * 2) == (code, len(holds), asked)
    assert "pinned: 40 requests" in told
    run = Run.load(out)
    assert ["plain", "majority-3", "pinned"] == list(run.scenarios)
    found = {name: figures(each) for name, each in run.scenarios.items()}
    assert [0.0, 2.0, 2.0] == [each.samples for each in found.values() if each is not None]
    assert (code, 0) == (await measured(out, *pinned))[::2]


@pytest.mark.processes
async def test_time_and_lanes_are_bounds(tmp_path: Path) -> None:
    """What hangs is cut when its time is up; what there is no time or lane for is said, and begun another day."""
    code, told, _ = await measured(
        tmp_path / "1.json", "--only", "plain", "--seconds", "1", answers=("a",) * 20 + (HANG,)
    )
    assert 0 == code, told
    cut = [
        answer for answer in Run.load(tmp_path / "1.json").scenarios["plain"].answers if answer.fault == CUT
    ]
    assert cut
    code, told, asked = await measured(tmp_path / "2.json", "--within", "1")
    assert (3, 0) == (code, asked)
    assert "out of time for plain, single" in told
    code, told, asked = await measured(tmp_path / "2.json", "--only", "serial")
    assert (1, 0) == (code, asked)
    assert "serial: needs --serial" in told


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["--fast", "http://127.0.0.1:9"], "http://127.0.0.1:9"), (["--fast", "x"], "--fast x")],
)
async def test_no_lane(tmp_path: Path, arguments: list[str], named: str) -> None:
    """A lane that is not there is one line and exit code 2."""
    command = [sys.executable, "benchmarks/gpu.py", *arguments, "--out", str(tmp_path / "x.json")]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
    _, told = await process.communicate()
    assert (2, 1, True) == (process.returncode, told.count(b"\n"), named.encode() in told)
