"""Other gateways in the same run, where a folder has what starts them.

That folder's `peers.py up NAME` starts one in front of UPSTREAM_URL and says where, `down NAME` ends it, and
$PEERS_HOME/run/NAME.pid says which process leads its group; $PEERS_HOME/VENV/ is where it is installed.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.load import check
from benchmarks.processes import BenchError, Group, Server
from benchmarks.streams import Streamer
from benchmarks.subjects import GREEDY, SAMPLED, Question, Subject

_TENSORZERO = "tensorzero::model_name::m"
_TENSORZERO_CACHE = ',"tensorzero::cache_options":{"enabled":"on"}'


@dataclass(frozen=True, slots=True)
class Peer:
    """Another gateway: where it is installed, and the question it gets."""

    title: str
    venv: str
    question: Question
    streams: bool = False


PEERS: Mapping[str, Peer] = {
    "vllm-router": Peer("vllm-router", "vllm-router", SAMPLED, streams=True),
    "rolter": Peer("rolter", "rolter", SAMPLED, streams=True),
    "rolter-cache": Peer("rolter, hit in Redis", "rolter", GREEDY),
    "tensorzero": Peer("TensorZero", "tensorzero", SAMPLED.to_model(_TENSORZERO, ""), streams=True),
    "tensorzero-cache": Peer(
        "TensorZero, hit in Redis", "tensorzero", GREEDY.to_model(_TENSORZERO, _TENSORZERO_CACHE)
    ),
    "litellm": Peer("LiteLLM", "litellm", SAMPLED),
    "litellm-cache": Peer("LiteLLM, hit in memory and Redis", "litellm", GREEDY),
}


def url_of(name: str, said: str) -> str | None:
    """Where this peer answers, by what `up` said of it and of what it started for it."""
    found = re.search(rf"^{re.escape(name)}: up at (http://\S+)", said, re.MULTILINE)
    return found[1] if found else None


class Peers:
    """The peers of one folder; those that run are ended in the end."""

    def __init__(self, folder: Path, notes: list[str]) -> None:
        self._script = folder / "peers.py"
        self._home = Path(os.environ.get("PEERS_HOME", Path.home() / ".cache/peers"))
        self._notes = notes
        self._stack = ExitStack()
        if not self._script.exists():
            self._note("no other gateways are measured: there is no peers.py where --peers says")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End those that run; they may be started again."""
        self._stack.close()

    def subjects(self, names: Iterable[str], upstream: Server) -> list[Subject]:
        """Those of these names that can be started in front of this upstream, and answer."""
        wanted = [name for name in names if name in PEERS]
        made = [
            Subject(name, PEERS[name].title, *found, PEERS[name].question)
            for name in wanted
            if (found := self._up(name, upstream))
        ]
        return [subject for subject in made if self._answers(subject)]

    def streamers(self, names: Iterable[str], upstream: Server) -> list[Streamer]:
        """The same for streams."""
        wanted = [name for name in names if name in PEERS and PEERS[name].streams]
        return [
            Streamer(name, PEERS[name].title, *found, PEERS[name].question.model)
            for name in wanted
            if (found := self._up(name, upstream))
        ]

    def versions(self) -> dict[str, str]:
        """Those of the peers that are installed."""
        venvs = dict.fromkeys(peer.venv for peer in PEERS.values())
        return (
            {venv: text for venv in venvs if (text := self._version(venv))} if self._script.exists() else {}
        )

    def _up(self, name: str, upstream: Server) -> tuple[str, Group] | None:
        """URL and process group of a peer; a note says why there is none."""
        if not self._script.exists():
            return None
        if not (self._home / PEERS[name].venv).is_dir():
            self._note(f"{name} is not measured: it is not installed")
            return None
        if not (self._home / "run/redis.pid").exists():  # it starts one of its own for caches, and leaves it
            self._stack.callback(self._run, "down", "redis")
        self._stack.callback(self._run, "down", name)
        said = self._run("up", name, UPSTREAM_URL=upstream.url)
        url = url_of(name, said.stdout)
        if said.returncode or url is None:
            print((said.stderr or said.stdout).strip(), file=sys.stderr)
            self._note(f"{name} is not measured: it did not come up")
            return None
        pid = int((self._home / "run" / f"{name}.pid").read_text().split()[0])
        return url, Group(pid)

    def _answers(self, subject: Subject) -> bool:
        try:
            check(subject)
        except (BenchError, OSError) as error:
            self._note(f"{subject.name} is not measured: {error}")
            return False
        return True

    def _run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(self._script), *words]
        return subprocess.run(
            command, env=os.environ | variables, capture_output=True, text=True, check=False, timeout=180
        )

    def _version(self, venv: str) -> str:
        asked = f"import importlib.metadata as m; print(m.version({venv!r}))"
        python = self._home / venv / "bin/python"
        if not python.exists():
            return ""
        return subprocess.run(
            [str(python), "-c", asked], capture_output=True, text=True, check=False
        ).stdout.strip()

    def _note(self, text: str) -> None:
        self._notes.append(text)
        print(text, file=sys.stderr)
