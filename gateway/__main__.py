"""`scg`, or `python -m gateway`: from the command line to a command.

Exit codes: 0 done, 1 the check failed, 2 bad usage or configuration (one line says what, and where).
"""

import importlib
import os
import sys
from collections.abc import Sequence

from gateway import __version__
from gateway.cli.arguments import Parser, describe
from gateway.settings.errors import ConfigError

_COMMANDS = {
    "serve": "run the gateway",
    "demo": "run a small LLM server and the gateway in front of it",
    "audit": "how often a server answers the same twice",
    "bulk": "votes on many prompts from a file",
    "config": "check and show the configuration",
    "cache": "look into a running gateway's pins",
    "key": "make API keys for clients",
    "ledger": "read and recount the record of votes",
}
_EXAMPLES = """\
  scg demo                                            everything on this machine, nothing else needed
  scg serve --upstream-url http://127.0.0.1:8000      in front of your LLM server
  scg audit http://127.0.0.1:8000                     how often it answers the same twice
  scg bulk prompts.jsonl                              votes on a file of questions, through a running gateway
  scg config check --config scg.yaml
  scg cache stats
"""


def _parser(wanted: str | None) -> Parser:
    """Commands load as they are asked for; the others are a name and a line of help."""
    parser = Parser(prog="scg")
    describe(parser, "An OpenAI-compatible gateway that votes, pins and measures.", _EXAMPLES)
    parser.add_argument("--version", action="version", version=f"scg {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="|".join(_COMMANDS))
    for name, summary in _COMMANDS.items():
        command = commands.add_parser(name, help=summary)
        if name == wanted:
            importlib.import_module(f"gateway.cli.{name}").add_arguments(command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        arguments = _parser(words[0] if words else None).parse_args(words)
        code: int = importlib.import_module(f"gateway.cli.{arguments.command}").run(arguments)
        sys.stdout.flush()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read this has had enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as end:  # argparse has said its part
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
