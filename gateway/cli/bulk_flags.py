"""The flags of `scg bulk`, and what each of them takes."""

import argparse
import json
from pathlib import Path
from typing import Any

from gateway.cli.arguments import add_config_flag, describe, gateway_url
from gateway.cli.flag_values import add_call_flags, answer, number, share, url, whole
from gateway.core.answer.rules import REGEX
from gateway.settings.spelling import CLIENT_KEY

_TEXT = """\
Ask a gateway every question of a file, and write each answer with the vote's outcome and agreement beside it.

FILE has lines in OpenAI's batch format ({"custom_id", "method": "POST", "url", "body"}), or plain request bodies
({"messages": …}, {"prompt": …}, {"input": …}), or plain text, one prompt a line. All are checked before any is asked.

OUT gets a line for each answer as it comes: the batch format's {"id", "custom_id", "response", "error"} and
"consistency" (outcome, agreement, k, samples, …). The order is that of the answers: nothing that has come waits behind
what has not, so Ctrl-C or a crash loses nothing, and the same command goes on where it stopped.
Exit code 0, 1 if --fail-under is not reached or a line has no answer, 2 for bad usage, a bad line or no gateway."""
_EXAMPLES = """\
  scg bulk batch.jsonl                                          through http://127.0.0.1:8080, to batch.out.jsonl
  scg bulk batch.jsonl                                          again: goes on where it stopped
  scg bulk prompts.txt --model demo --defaults '{"temperature": 0, "max_tokens": 200}' --answer number
  scg bulk batch.jsonl --policy strict --fail-under 0.9         in CI: exit code 1 if the mean agreement is below
  scg bulk batch.jsonl --url https://gateway.example --api-key-file key.txt --concurrency 16 --rate 20
  jq -r 'select(.consistency.agreement < 1) | .custom_id' batch.out.jsonl
"""
_SHOWN = 10


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `scg bulk`."""
    describe(parser, _TEXT, _EXAMPLES)
    parser.add_argument("file", metavar="FILE", help="the questions; - for standard input")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--url", type=url, help=f"the gateway (by SCG_HOST and SCG_PORT {gateway_url()})")
    add_config_flag(where)
    _add_what(parser.add_argument_group("what is asked"))
    _add_how(parser.add_argument_group("how it is asked"))
    _add_result(parser.add_argument_group("what comes of it"))


def _add_what(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--model", metavar="M", help="for lines that name none")
    group.add_argument(
        "--defaults", type=_members, default={}, metavar="JSON", help="members for bodies that lack them"
    )
    group.add_argument("--policy", type=_name, metavar="P", help="the policy (the gateway's default)")
    group.add_argument("--k", type=whole(1), metavar="N", help="samples (the policy's)")
    group.add_argument(
        "--answer", type=_rule, metavar="RULE", help="what is voted on: text, json, number, … (the policy's)"
    )


def _add_how(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--concurrency", type=whole(1), default=4, metavar="N", help="questions at once (%(default)s)"
    )
    group.add_argument(
        "--rate", type=number(0), default=0.0, metavar="R", help="requests a second at most (no bound)"
    )
    group.add_argument(
        "--tries",
        type=whole(1),
        default=8,
        metavar="N",
        help="of one line, on 429, 503 and broken connections (%(default)s)",
    )
    add_call_flags(group)
    group.add_argument(
        "--api-key-file", type=Path, metavar="FILE", help=f"the key, if not in the variable {CLIENT_KEY}"
    )
    group.add_argument("--dry-run", action="store_true", help="check all lines, and ask nothing")


def _add_result(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--out", type=Path, metavar="OUT", help="the answers' file (FILE.out.jsonl)")
    group.add_argument("--fresh", action="store_true", help="start over; an OUT that is there is kept aside")
    group.add_argument(
        "--show",
        type=whole(0),
        default=_SHOWN,
        metavar="N",
        help="the least certain questions in the summary (%(default)s)",
    )
    group.add_argument(
        "--fail-under", type=share, metavar="X", help="exit code 1 if the mean agreement is below"
    )


def _members(text: str) -> dict[str, Any]:
    try:
        members = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a JSON object ({error}), got {text!r}") from error
    if not isinstance(members, dict):
        raise argparse.ArgumentTypeError(f"expected a JSON object, got {text!r}")
    return members


def _rule(text: str) -> str:
    if text.startswith(REGEX):
        raise argparse.ArgumentTypeError("regex answers are for the gateway's configuration only")
    return answer(text)


def _name(text: str) -> str:
    if not text or not text.isascii() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"expected a policy's name, got {text!r}")
    return text
