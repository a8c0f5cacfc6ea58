"""One run of wrk against one subject, with what it cost."""

import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import busy_seconds
from benchmarks.processes import BenchError, Group
from benchmarks.results import LoadRun
from benchmarks.subjects import Question, Subject

PATH = "/v1/chat/completions"
_SCRIPT = Path(__file__).resolve().parent / "programs/load.lua"
USUAL = {"content-type": "application/json", "authorization": "Bearer none"}
_CALLS = re.compile(r"^scg_upstream_requests_total{.*} (\S+)$", re.MULTILINE)


def check(subject: Subject) -> None:
    """Ask twice (the second may be a hit); BenchError unless the answer comes the way that is to be measured."""
    body = subject.question.body.encode()
    for _ in range(2):
        request = urllib.request.Request(subject.url + PATH, body, USUAL | dict(subject.question.headers))
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                source, text = answer.headers.get("x-consistency-source", ""), answer.read()
        except urllib.error.HTTPError as error:
            raise BenchError(f"{subject.name} answers {error.code}: {error.read()[:300]!r}") from error
    if b'"choices"' not in text:
        raise BenchError(f"{subject.name} answers no completion: {text[:300]!r}")
    if source != subject.source and not subject.question.copies:
        raise BenchError(f"{subject.name} answers from {source!r}, wanted {subject.source!r}")


class Loader:
    """Loads subjects with wrk. `behind` are the servers that work for whichever subject is asked."""

    def __init__(self, folder: Path, behind: Sequence[Group]) -> None:
        self._folder = folder
        self._behind = tuple(behind)

    def run(self, subject: Subject, connections: int, seconds: int, turn: int) -> LoadRun:
        """One run."""
        groups = {subject.group, *self._behind}
        calls = _calls(subject)
        busy, began = busy_seconds(), time.monotonic()
        used, known = subject.group.cpu_seconds(), sum(group.cpu_seconds() for group in groups)
        said, rss, by_wrk = self._wrk(subject, connections, seconds)
        used = subject.group.cpu_seconds() - used
        known = sum(group.cpu_seconds() for group in groups) - known + by_wrk
        whole = (time.monotonic() - began) * (os.cpu_count() or 1)
        others = max(0.0, busy_seconds() - busy - known) / whole
        requests = max(1, said["requests"])
        return LoadRun(
            turn=turn,
            subject=subject.name,
            connections=connections,
            cpu_us=1e6 * used / requests,
            rss_mb=rss,
            others=others,
            calls=None if calls is None else ((_calls(subject) or 0) - calls) / requests,
            **said,
        )

    def _wrk(self, subject: Subject, connections: int, seconds: int) -> tuple[dict[str, int], float, float]:
        """What wrk says, the subject's memory in mid-run, and wrk's own processor time."""
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
        before = os.times()
        wrk = subprocess.Popen(
            [*command, "-s", str(_SCRIPT), subject.url + PATH],
            env=os.environ | self._environment(subject.question),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        time.sleep(seconds / 2)
        rss = subject.group.rss_mb()
        text, _ = wrk.communicate()
        if wrk.returncode:
            raise BenchError(f"wrk: {text.strip()[-300:]}")
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        return json.loads(text.strip().rpartition("\n")[2]), rss, used

    def _environment(self, question: Question) -> dict[str, str]:
        """What the script reads."""
        body = self._folder / "body.json"
        body.write_text(question.body)
        return {
            "BENCH_BODY": str(body),
            "BENCH_HEADERS": "".join(f"{k}: {v}\n" for k, v in (USUAL | dict(question.headers)).items()),
            "BENCH_COPIES": str(question.copies),
            "BENCH_RUN": f"{time.time_ns():x}",
        }


def _calls(subject: Subject) -> float | None:
    """How often our gateway has asked its upstream so far."""
    if not subject.is_ours:
        return None
    with urllib.request.urlopen(subject.url + "/metrics", timeout=10) as answer:
        return sum(float(value) for value in _CALLS.findall(answer.read().decode()))
