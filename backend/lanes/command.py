"""From options to the exact command of an engine."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.errors import UsageError
from backend.lanes.table import ENGINES, Engine, Lane

_FOLDERS = ("/", "./", "../", "~")


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """What the user asked for. `extra` goes to the engine as it is; `python` is the interpreter that has it."""

    engine: str
    lane: str
    model: str
    host: str
    port: int
    python: str
    served_model_name: str | None = None
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """A command line with what is added to its environment, and where its server will be."""

    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    url: str

    def __str__(self) -> str:
        """As one would type it into a shell."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment]
        return " ".join([*variables, shlex.join(self.arguments)])


def command_of(options: LaneOptions) -> Command:
    """The command for these options.

    Raises:
        UsageError: there is no such lane or folder, the port is none, or an extra flag would undo what the lane is.
    """
    if options.model.startswith(_FOLDERS) and not Path(options.model).expanduser().is_dir():
        raise UsageError(f"--model {options.model}: no such folder")
    if not 1 <= options.port <= 65535:
        raise UsageError(f"--port {options.port}: must be from 1 to 65535")
    engine = ENGINES[options.engine]
    lane = lane_of(options)
    fixed = [flag for flag in (engine.model, engine.host, engine.port, engine.served_name) if flag]
    named = () if options.served_model_name is None else (engine.served_name, options.served_model_name)
    _refuse(options.extra, fixed, "has an option of its own before --")
    _refuse(options.extra, lane.arguments, f"is what makes the lane {options.lane}")
    arguments = (
        options.python,
        "-m",
        *engine.module,
        *(flag for flag in (engine.model,) if flag),
        options.model,
        *(engine.host, options.host, engine.port, str(options.port)),
        *named,
        *lane.arguments,
        *options.extra,
    )
    return Command(arguments, lane.environment, f"http://{_reachable(options.host)}:{options.port}")


def lane_of(options: LaneOptions) -> Lane:
    """The lane asked for; UsageError where the engine has none of that name."""
    engine = ENGINES[options.engine]
    if options.lane not in engine.lanes:
        known = "|".join(engine.lanes)
        raise UsageError(
            f"--lane {options.lane}: {engine.title} has no such mode, use {known}{_instead(engine)}"
        )
    return engine.lanes[options.lane]


def _instead(engine: Engine) -> str:
    others = [other.title for other in ENGINES.values() if other is not engine and "invariant" in other.lanes]
    return f" (batch-invariant kernels: {' or '.join(others)})"


def _refuse(extra: Sequence[str], flags: Sequence[str], why: str) -> None:
    """A lane is what it says: no flag may be given a second time behind its back."""
    taken = {_plain(flag) for flag in flags if flag.startswith("--")}
    for argument in extra:
        if argument.startswith("--") and _plain(argument) in taken:
            raise UsageError(f"{argument}: {why}")


def _plain(flag: str) -> str:
    """A flag without its value and without `no-`; engines take `_` for `-`."""
    return flag.partition("=")[0].replace("_", "-").removeprefix("--").removeprefix("no-")


def _reachable(host: str) -> str:
    """Where to knock for a server that listens on this address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104  compared, not bound
    return f"[{host}]" if ":" in host else host
