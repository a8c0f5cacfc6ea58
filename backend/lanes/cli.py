"""The command line of lanes: `python -m backend vllm|lmdeploy|sglang --lane …`."""

import argparse
import sys
from collections.abc import Callable, Sequence

from backend.lanes.command import LaneOptions, command_of, lane_of
from backend.lanes.machine import check
from backend.lanes.run import run
from backend.lanes.table import ENGINES, FAST, LANES, Engine

_DESCRIPTION = """Serve a model with {title}, set up as one of the gateway's lanes:
  fast       as {title} comes: continuous batching, answers that depend on the load
  serial     batch size 1: a reference lane for any machine
  invariant  batch-invariant kernels: a reference lane at nearly full speed, where {title} has them"""
_EXAMPLES = """examples:
  python -m backend {name} --model Qwen/Qwen3-8B                                   the fast lane on port 8000
  python -m backend {name} --lane serial --model Qwen/Qwen3-8B --port 8001         a reference lane beside it
  python -m backend {name} --model Qwen/Qwen3-8B --dry-run -- {extra}   only print the command
"""
_EXTRA = {"vllm": "--max-model-len 8192", "lmdeploy": "--backend pytorch", "sglang": "--tp-size 2"}


def add_commands(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """One command per engine."""
    for name, engine in ENGINES.items():
        parser = add_parser(
            name,
            help=f"serve a model with {engine.title} as a lane: {'|'.join(engine.lanes)}",
            description=_DESCRIPTION.format(title=engine.title),
            epilog=_EXAMPLES.format(name=name, extra=_EXTRA[name]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            usage="%(prog)s --model MODEL [--lane LANE] [option …] [-- FLAG …]",
        )
        _add_options(parser, engine)


def _add_options(parser: argparse.ArgumentParser, engine: Engine) -> None:
    parser.add_argument("--lane", choices=LANES, default=FAST, help=f"{'|'.join(LANES)} (%(default)s)")
    parser.add_argument("--model", required=True, help=f"a folder, or a name that {engine.title} knows")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (%(default)s)")
    parser.add_argument(
        "--served-model-name", metavar="NAME", help=f"name in the API ({engine.title}'s choice)"
    )
    parser.add_argument(
        "--python",
        default=sys.executable,
        metavar="PATH",
        help=f"the interpreter that has {engine.title} (this one)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the command, check and start nothing")


def start(engine: str, options: argparse.Namespace, extra: Sequence[str]) -> int:
    """Print the command and run it; the exit code. UsageError if the machine cannot do it."""
    asked = LaneOptions(
        engine=engine,
        lane=options.lane,
        model=options.model,
        host=options.host,
        port=options.port,
        python=options.python,
        served_model_name=options.served_model_name,
        extra=tuple(extra),
    )
    command = command_of(asked)
    if options.dry_run:
        print(command)
        return 0
    version = check(ENGINES[engine], lane_of(asked), asked.python)
    print(command, flush=True)
    return run(command, f"{ENGINES[engine].title} {version}, lane {asked.lane},")
