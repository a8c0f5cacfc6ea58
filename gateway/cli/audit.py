"""`scg audit`: how often does a server answer the same twice, and which policy would mend it?"""

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.audit_flags import add_flags

if TYPE_CHECKING:
    from gateway.audit.ask.session import Options
    from gateway.audit.find.findings import Findings
    from gateway.audit.spec import Prompt


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `scg audit`."""
    add_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, then report; also after Ctrl-C."""
    from gateway.audit.journal import JournalError
    from gateway.audit.prompts import PromptsError
    from gateway.calling.lines import Unreadable, keep_aside
    from gateway.calling.post import Unusable

    try:
        options = _options(arguments)
        if arguments.fresh and not arguments.dry_run and (aside := keep_aside(options.journal)):
            _say(f"kept {options.journal} as {aside}")
        ended = _conduct(options)
        if options.dry_run or not options.journal.exists():
            return ended
        findings = _report(arguments, options)
    except (Unreadable, PromptsError, JournalError, Unusable) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    if ended:
        return ended
    return _verdict(findings, arguments.fail_under)


def _conduct(options: "Options") -> int:
    """Ask all that is left; the exit code that what ended it early asks for, or 0."""
    from gateway.audit.ask.run import Stopped
    from gateway.audit.ask.session import begun, conduct
    from gateway.calling.pace import Spent

    before = begun(options)
    try:
        asyncio.run(conduct(options, before, _say, sys.stderr))
    except KeyboardInterrupt:
        _say("interrupted" + ("; the same command with --resume goes on" if options.journal.exists() else ""))
        return 130
    except Spent:
        _say(f"--max-requests {options.most} is reached; the same command with --resume goes on")
        return 1
    except Stopped as stopped:
        _say(f"{stopped}; the same command with --resume goes on")
        return 1
    return 0


def _report(arguments: argparse.Namespace, options: "Options") -> "Findings":
    """Write the files and print the table."""
    from gateway.audit.find.advice import advise
    from gateway.audit.find.findings import find
    from gateway.audit.journal import read_journal
    from gateway.audit.report.as_json import as_json
    from gateway.audit.report.console import report
    from gateway.audit.report.junit import junit
    from gateway.audit.report.page import page

    findings = find(*read_journal(options.journal))
    target = arguments.target if arguments.target is not None else arguments.fail_under
    advice = advise(findings, target)
    made = {
        ".json": as_json(findings, advice, arguments.fail_under),
        ".xml": junit(findings, advice, arguments.fail_under),
        ".html": page(findings, advice, arguments.fail_under),
    }
    for ending, text in made.items():
        _named(arguments.out, ending).write_text(text, encoding="utf-8", errors="replace")
    print(report(findings, advice), end="")
    _say(
        f"wrote {', '.join(str(_named(arguments.out, ending)) for ending in ('.html', '.json', '.xml', '.jsonl'))}"
    )
    return findings


def _verdict(findings: "Findings", fail_under: float | None) -> int:
    from gateway.audit.find.advice import check_passes

    if findings.missed and not findings.heard:
        return _fail(f"no request had an answer: {findings.last_miss}", 1)
    if fail_under is None or check_passes(findings.headline, fail_under):
        return 0
    rate = findings.headline.answer if findings.headline else None
    if rate is None:
        return _fail(f"--fail-under {fail_under:g}: there are no two copies apart to compare", 1)
    told = f"{rate.value:.4f} ({rate.low:.3f} to {rate.high:.3f}) is below --fail-under {fail_under:g}"
    return _fail(told, 1)


def _options(arguments: argparse.Namespace) -> "Options":
    from gateway.audit.ask.session import Options
    from gateway.audit.spec import Spec
    from gateway.extraction.installed import missing

    if lacking := missing(arguments.answer):
        from gateway.calling.post import Unusable

        raise Unusable(f"--answer {arguments.answer}: {lacking}")
    names = ("model", "copies", "gap", "temperature", "seed", "vary_seed", "max_tokens", "answer")
    spec = Spec(
        prompts=_prompts(arguments),
        kinds=arguments.phases,
        concurrencies=arguments.concurrency,
        salted=not arguments.no_salt,
        **{name: getattr(arguments, name) for name in names},
    )
    return Options(
        urls=tuple(arguments.urls),
        spec=spec,
        journal=_named(arguments.out, ".jsonl"),
        lane=arguments.reference,
        resume=arguments.resume,
        rate=arguments.rate or None,
        most=arguments.max_requests,
        key=os.environ.get(arguments.api_key_env),
        headers=tuple(arguments.header),
        timeout=arguments.timeout,
        ca_file=arguments.ca_file,
        pins=arguments.pins,
        any_form=arguments.endpoint == "auto",
        dry_run=arguments.dry_run,
    )


def _prompts(arguments: argparse.Namespace) -> "tuple[Prompt, ...]":
    from gateway.audit.prompts import BUILT_IN, built_in, read_prompts
    from gateway.calling.lines import read_text
    from gateway.upstream.engines import CHAT, COMPLETIONS

    path = COMPLETIONS if arguments.endpoint == "completions" else CHAT
    if arguments.prompts is None:
        return built_in(arguments.prompt_count or BUILT_IN, path)
    text = read_text(arguments.prompts)
    prompts, notices = read_prompts(text, str(arguments.prompts), path)
    for notice in notices:
        _say(notice)
    return prompts[: arguments.prompt_count]


def _named(out: Path, ending: str) -> Path:
    return out.with_name(out.name + ending)


def _say(line: str) -> None:
    print(f"scg audit: {line}", file=sys.stderr, flush=True)


def _fail(line: str, code: int = 2) -> int:
    _say(line)
    return code
