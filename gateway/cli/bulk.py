"""`scg bulk`: votes on many prompts from a file, through a gateway."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.arguments import address, gateway_url, load_settings
from gateway.cli.bulk_flags import add_flags
from gateway.settings.environment import CONFIG
from gateway.settings.spelling import CLIENT_KEY

if TYPE_CHECKING:
    from gateway.bulk.jobs import Job
    from gateway.bulk.record import Answered
    from gateway.bulk.session import Options

_STDIN = "-"
_CHOICE = "x-consistency-"  # a header that changes the vote, and so is part of what is asked


class _Misuse(Exception):
    """Flags that do not go together, or a key that is none."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `scg bulk`."""
    add_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, then sum up; also after Ctrl-C."""
    from gateway.bulk.answers import AnswersError
    from gateway.bulk.jobs import JobsError
    from gateway.calling.lines import Unreadable
    from gateway.calling.post import Unusable

    results: list[Answered] = []
    try:
        options = _options(arguments)
        if arguments.dry_run:
            _say(f"{len(options.jobs)} lines, all in order; nothing is asked of {options.url}")
            return 0
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
    if results:
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

    chosen = {f"{_CHOICE}{name}": getattr(arguments, name) for name in ("policy", "k", "answer")}
    given = [(name.lower(), value) for name, value in arguments.header]
    chosen |= {name: value for name, value in given if name.startswith(_CHOICE)}
    return Options(
        url=arguments.url or _url(arguments),
        jobs=_jobs(arguments),
        out=_out(arguments),
        choices=tuple((name, str(value)) for name, value in chosen.items() if value is not None),
        rate=arguments.rate or None,
        key=_key(arguments.api_key_file),
        headers=tuple(pair for pair in given if not pair[0].startswith(_CHOICE)),
        **{
            name: getattr(arguments, name) for name in ("concurrency", "tries", "timeout", "ca_file", "fresh")
        },
    )


def _url(arguments: argparse.Namespace) -> str:
    """The gateway that the configuration describes, where there is one."""
    if arguments.config is None and not os.environ.get(CONFIG):
        return gateway_url()
    settings = load_settings(arguments)
    return address(settings.host, settings.port)


def _jobs(arguments: argparse.Namespace) -> "tuple[Job, ...]":
    from gateway.bulk.jobs import read_jobs
    from gateway.calling.lines import decoded, read_text

    name = "standard input" if arguments.file == _STDIN else arguments.file
    text = decoded(sys.stdin.buffer.read(), name) if arguments.file == _STDIN else read_text(Path(name))
    named = {"model": arguments.model} if arguments.model else {}
    return read_jobs(text, name, arguments.defaults | named)


def _out(arguments: argparse.Namespace) -> Path:
    if arguments.out is not None:
        out: Path = arguments.out
    elif arguments.file == _STDIN:
        raise _Misuse("--out is needed where the questions come from standard input")
    else:
        out = Path(arguments.file).with_suffix(".out.jsonl")
    if out.exists() and not out.is_file():
        raise _Misuse(f"--out {out}: is no plain file, which can be gone on with")
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


def _say(line: str) -> None:
    print(f"scg bulk: {line}", file=sys.stderr, flush=True)


def _fail(line: str, code: int = 2) -> int:
    _say(line)
    return code
