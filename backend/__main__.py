"""OpenAI-compatible servers to put behind the gateway: our own on PyTorch, or vLLM, LMDeploy and SGLang as lanes.

Exit codes: 0 stopped as asked, 2 bad usage or a model that cannot be served (one line says why).
Engines started as lanes have exit codes of their own.
"""

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from backend import probe
from backend.errors import UsageError
from backend.lanes import cli as lanes
from backend.lanes.table import ENGINES
from backend.torch.config import DEVICES, DTYPES, EngineConfig, ServerConfig, parse_size
from gateway.cli.arguments import Parser

_PROG = "python -m backend"
_EXAMPLES = """examples:
  python -m backend torch                                                 the shipped demo model on port 8000
  python -m backend torch --model random --batch-invariant                the same answers whoever else is computed
  python -m backend vllm --lane serial --model Qwen/Qwen3-8B --port 8001  a reference lane: one request at a time
  python -m backend probe http://127.0.0.1:8000                           do a server's answers depend on the batch?
"""
_TORCH_EXAMPLES = """examples:
  python -m backend torch                                   the shipped demo model on http://127.0.0.1:8000/v1
  python -m backend torch --model random                    random weights: the worst case for determinism
  python -m backend torch --max-batch-size 1 --port 8001    one request at a time: a reference lane
  python -m backend torch --batch-invariant --port 8001     the same answers, many requests at a time
  python -m backend torch --model ~/Llama-3.2-1B --device cuda --max-batch-size 64
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=_PROG,
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)
    torch = commands.add_parser(
        "torch",
        help="serve a model with PyTorch",
        description="Serve a model with PyTorch and continuous batching. Nothing is downloaded.",
        epilog=_TORCH_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_server_options(torch.add_argument_group("server"))
    _add_engine_options(torch.add_argument_group("engine"))
    lanes.add_commands(commands.add_parser)
    probe.add_command(commands.add_parser)
    return parser


def _add_server_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    group.add_argument("--port", type=int, default=8000, help="port to listen on, 0: any (%(default)s)")
    group.add_argument("--served-model-name", metavar="NAME", help="name in the API (the model's own)")
    group.add_argument(
        "--shutdown-timeout",
        type=float,
        default=5.0,
        metavar="S",
        help="seconds that a stop waits for running answers (%(default)s)",
    )


def _add_engine_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--model", default="demo", help="a checkpoint's folder, demo or random (%(default)s)")
    group.add_argument("--device", default="auto", help=f"{'|'.join(DEVICES)} (%(default)s)")
    group.add_argument("--dtype", default="bfloat16", help=f"{'|'.join(DTYPES)} (%(default)s)")
    group.add_argument(
        "--max-batch-size",
        type=int,
        default=16,
        metavar="N",
        help="requests computed together; more wait; 1: one at a time (%(default)s)",
    )
    group.add_argument(
        "--max-waiting",
        type=int,
        default=1024,
        metavar="N",
        help="requests that may wait; more are refused with 429 (%(default)s)",
    )
    group.add_argument("--max-model-len", type=int, metavar="N", help="prompt + answer, tokens (the model's)")
    group.add_argument(
        "--prefill-tokens",
        type=int,
        metavar="N",
        help="prompt tokens computed in one step (128 on a CPU, 2048 on CUDA)",
    )
    group.add_argument(
        "--kv-cache-memory",
        type=parse_size,
        metavar="SIZE",
        help="for keys and values, as 512MiB (1GiB on a CPU, what is left on CUDA)",
    )
    group.add_argument(
        "--gpu-memory-utilization",
        type=float,
        metavar="SHARE",
        help="of a GPU's memory, for weights, steps, keys and values together (0.9)",
    )
    group.add_argument(
        "--batch-invariant",
        action="store_true",
        help="bitwise the same logits whoever else is computed: a reference lane that batches",
    )
    group.add_argument("--seed", type=int, default=0, help="of random weights (%(default)s)")
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads (1 for a small model)")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments, extra = _split(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if parsed.command in ENGINES:
        return _say_why(parsed.command, lambda: lanes.start(parsed.command, parsed, extra))
    if extra:
        parser.error(f"{parsed.command} takes nothing after --: {' '.join(extra)}")
    if parsed.command == "probe":
        return _say_why("probe", lambda: probe.run(parsed))
    return _say_why("torch", lambda: _serve_torch(vars(parsed)))


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Our arguments, and those of the engine after `--`."""
    at = argv.index("--") if "--" in argv else len(argv)
    return argv[:at], argv[at + 1 :]


def _say_why(command: str, work: Callable[[], int]) -> int:
    """The exit code of some work; what cannot be done is said in one line."""
    try:
        return work()
    except UsageError as error:
        print(f"{_PROG} {command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


def _serve_torch(options: dict[str, Any]) -> int:
    del options["command"]
    # Models come from folders; a server that phones home to look for them would start late or not at all.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # Threads that spin while they wait cost tens of times the speed where something else needs the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    server = ServerConfig(**{name: options.pop(name) for name in ServerConfig.__dataclass_fields__})
    engine = EngineConfig(**options)
    from backend.torch.serve import serve

    serve(engine, server)
    return 0


if __name__ == "__main__":
    sys.exit(main())
