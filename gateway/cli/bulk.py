"""`scg bulk`: votes on many prompts from a file, through a gateway."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.arguments import add_config_flag, address, describe, gateway_url, load_settings
from gateway.cli.flag_values import answer, header, number, share, url, whole
from gateway.core.answer.rules import REGEX
from gateway.settings.environment import CONFIG
from gateway.settings.spelling import CLIENT_KEY

if TYPE_CHECKING:
    from gateway.bulk.jobs import Job
    from gateway.bulk.record import Answered
    from gateway.bulk.session import Options

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
_STDIN = "-"


class _Misuse(Exception):
    """Flags that do not go together, or a key that is none."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
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
    group.add_argument(
        "--timeout", type=number(1), default=600.0, metavar="S", help="seconds for one answer (%(default)s)"
    )
    group.add_argument(
        "--api-key-file", type=Path, metavar="FILE", help=f"the key, if not in the variable {CLIENT_KEY}"
    )
    group.add_argument(
        "--header",
        action="append",
        default=[],
        type=header,
        metavar="NAME:VALUE",
        help="sent with every request; may be repeated",
    )
    group.add_argument("--ca-file", metavar="FILE", help="certificates to trust")
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


def run(arguments: argparse.Namespace) -> int:
    """Ask, then sum up; also after Ctrl-C."""
    from gateway.bulk.answers import AnswersError
    from gateway.bulk.jobs import JobsError
    from gateway.calling.lines import Unreadable, keep_aside
    from gateway.calling.post import Unusable

    results: list[Answered] = []
    try:
        options = _options(arguments)
        if arguments.dry_run:
            _say(f"{len(options.jobs)} lines, all in order; nothing is asked of {options.url}")
            return 0
        if arguments.fresh and (aside := keep_aside(options.out)):
            _say(f"kept {options.out} as {aside}")
        ended = _conduct(options, results)
        _report(options, results, arguments.show)
    except (AnswersError, JobsError, Unreadable, Unusable, _Misuse) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return ended or _verdict(results, len(options.jobs), arguments.fail_under)


def _conduct(options: "Options", results: "list[Answered]") -> int:
    """Ask all that is left; the exit code that what ended it early asks for, or 0."""
    from gateway.bulk.run import Stopped
    from gateway.bulk.session import conduct

    try:
        conduct(options, _say, sys.stderr, results)
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on")
        return 130
    except Stopped as stopped:
        _say(f"{stopped}; the same command goes on")
        return 1
    return 0


def _report(options: "Options", results: "list[Answered]", show: int) -> None:
    from gateway.bulk.summary import summary

    print(summary(results, len(options.jobs), show), end="")
    _say(f"wrote {options.out}")


def _verdict(results: "list[Answered]", lines: int, fail_under: float | None) -> int:
    from gateway.bulk.summary import agreement_of

    final = [each for each in results if each.is_final]
    if len(final) < lines:
        return _fail(
            f"{lines - len(final)} of {lines} lines have no answer; the same command asks them again", 1
        )
    if fail_under is None:
        return 0
    mean = agreement_of(final)
    if mean is None:
        return _fail(f"--fail-under {fail_under:g}: nothing was voted on", 1)
    if mean.value >= fail_under:
        return 0
    told = f"{mean.value:.4f} ({mean.low:.3f} to {mean.high:.3f})"
    return _fail(f"the mean agreement {told} is below --fail-under {fail_under:g}", 1)


def _options(arguments: argparse.Namespace) -> "Options":
    from gateway.bulk.session import Options

    names = ("policy", "k", "answer")
    given = {name: getattr(arguments, name) for name in names}
    return Options(
        url=arguments.url or _url(arguments),
        jobs=_jobs(arguments),
        out=_out(arguments),
        choices=tuple(
            (f"x-consistency-{name}", str(value)) for name, value in given.items() if value is not None
        ),
        rate=arguments.rate or None,
        key=_key(arguments.api_key_file),
        headers=tuple(arguments.header),
        **{name: getattr(arguments, name) for name in ("concurrency", "tries", "timeout", "ca_file")},
    )


def _url(arguments: argparse.Namespace) -> str:
    """The gateway that the configuration describes, where there is one."""
    if arguments.config is None and not os.environ.get(CONFIG):
        return gateway_url()
    settings = load_settings(arguments)
    return address(settings.host, settings.port)


def _jobs(arguments: argparse.Namespace) -> "tuple[Job, ...]":
    from gateway.bulk.jobs import read_jobs
    from gateway.calling.lines import read_text

    is_piped = arguments.file == _STDIN
    text = sys.stdin.read() if is_piped else read_text(Path(arguments.file))
    named = {"model": arguments.model} if arguments.model else {}
    return read_jobs(text, "standard input" if is_piped else arguments.file, arguments.defaults | named)


def _out(arguments: argparse.Namespace) -> Path:
    if arguments.out is not None:
        out: Path = arguments.out
    elif arguments.file == _STDIN:
        raise _Misuse("--out is needed where the questions come from standard input")
    else:
        out = Path(arguments.file).with_suffix(".out.jsonl")
    if arguments.file != _STDIN and out.exists() and out.samefile(arguments.file):
        raise _Misuse(f"--out {out}: is the file of the questions")
    return out


def _key(file: Path | None) -> str | None:
    """The client's key. What is wrong with it is said without a letter of it."""
    from gateway.calling.lines import read_text

    key = (os.environ.get(CLIENT_KEY, "") if file is None else read_text(file)).strip()
    if not key and file is None:
        return None
    if not key or not key.isascii() or not key.isprintable():
        raise _Misuse(f"{CLIENT_KEY if file is None else file}: expected a key, one line of printable ASCII")
    return key


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


def _say(line: str) -> None:
    print(f"scg bulk: {line}", file=sys.stderr, flush=True)


def _fail(line: str, code: int = 2) -> int:
    _say(line)
    return code
