"""`python -m backend probe URL`: does a server say the same alone and in a batch?"""

import argparse
import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from backend.errors import UsageError
from gateway.core.probe import DETERMINISTIC, INCONCLUSIVE, NOT_DETERMINISTIC, Needle, ProbePlan, ProbeResult
from gateway.settings.urls import parse_upstream_url

if (
    TYPE_CHECKING
):  # the parts that speak HTTP are loaded when they are used: other commands start without them
    from gateway.upstream.client import Client, Headers
    from gateway.upstream.probe import Target

_KEY = "PROBE_API_KEY"
_MOST_LISTED = 20
_EXIT = {DETERMINISTIC: 0, NOT_DETERMINISTIC: 1, INCONCLUSIVE: 2}
_DESCRIPTION = f"""Needle in a batch: ask the same prompts at temperature 0, alone and among others, before and after
their prefix was computed, and compare the answers with their logprobs. Exit code 0: all the same; 1: they differ;
2: bad usage, no server, or answers missing. A key for the server comes from {_KEY}."""
_EXAMPLES = """examples:
  python -m backend probe http://127.0.0.1:8000                  is this server deterministic?
  python -m backend probe http://127.0.0.1:8000 --one-by-one     and if it is asked one thing at a time?
  python -m backend probe http://gpu:8000/v1 --model Qwen/Qwen3-8B --prompts 16 --copies 4 --tokens 200 --json
"""


def add_command(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """The command and its options."""
    plan = ProbePlan()
    parser = add_parser(
        "probe",
        help="find out whether a server's answers depend on the batch",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", metavar="URL", help="the server, with or without /v1")
    parser.add_argument("--model", help="the model to ask (the first one listed)")
    parser.add_argument(
        "--prompts", type=int, default=plan.needles, metavar="N", help="compared (%(default)s)"
    )
    parser.add_argument(
        "--copies", type=int, default=plan.copies, metavar="N", help="of each in a large batch (%(default)s)"
    )
    parser.add_argument(
        "--others",
        type=int,
        default=plan.others,
        metavar="N",
        help="beside them in a large batch (%(default)s)",
    )
    parser.add_argument(
        "--tokens", type=int, default=plan.tokens, metavar="N", help="an answer (%(default)s)"
    )
    parser.add_argument("--one-by-one", action="store_true", help="never ask two things at once")
    parser.add_argument("--json", action="store_true", help="print everything found as JSON")


def run(options: argparse.Namespace) -> int:
    """Probe and print; the exit code. UsageError if there is nothing to probe."""
    for name in ("prompts", "copies", "others", "tokens"):
        if getattr(options, name) < 1:
            raise UsageError(f"--{name} {getattr(options, name)}: must be at least 1")
    try:
        url = parse_upstream_url(options.url)
    except ValueError as error:
        raise UsageError(f"{options.url}: {error}") from error
    plan = ProbePlan(options.prompts, options.copies, options.others, options.tokens)
    target, result = asyncio.run(_probe(url, options.model, plan, at_once=1 if options.one_by_one else None))
    print(_as_json(target, result) if options.json else _as_text(target, plan, result))
    return _EXIT[result.verdict]


async def _probe(
    url: str, model: str | None, plan: ProbePlan, at_once: int | None
) -> tuple["Target", ProbeResult]:
    from gateway.settings.model import Timeouts
    from gateway.upstream.clients import is_proxied, open_client
    from gateway.upstream.probe import probe

    client = open_client(Timeouts(), None, proxied=is_proxied(url))
    try:
        target = await _target(client, url, model, at_once)
        return target, await probe(target, plan)
    finally:
        await client.aclose()


async def _target(client: "Client", url: str, model: str | None, at_once: int | None) -> "Target":
    from gateway.upstream.engines import PLAIN
    from gateway.upstream.looks import look
    from gateway.upstream.probe import Target
    from gateway.upstream.slots import Slots

    key = os.environ.get(_KEY)
    headers: Headers = [("authorization", f"Bearer {key}")] if key else []
    found = await look(client, url, headers)
    if not found.reachable:
        raise UsageError(f"{url}: no server answers there")
    if model is None and not found.models:
        raise UsageError(f"{url}: lists no models: name one with --model, a key in {_KEY}")
    if model and found.models and model not in found.models:
        raise UsageError(
            f"{url} has no model {model!r}; known: {', '.join(sorted(found.models)[:_MOST_LISTED])}"
        )
    return Target(
        client, url, model or next(iter(found.models)), found.engine or PLAIN, Slots(at_once), headers
    )


def _as_json(target: "Target", result: ProbeResult) -> str:
    about = {"url": target.url, "model": target.model, "engine": target.engine}
    return json.dumps(about | {"verdict": result.verdict, "reason": result.reason} | asdict(result), indent=2)


def _as_text(target: "Target", plan: ProbePlan, result: ProbeResult) -> str:
    asked = f"{plan.needles} prompts, alone and in batches of up to {plan.large}"
    head = f"{target.url}: {target.model} ({target.engine}), {asked}"
    return "\n".join([
        head,
        *(_line(needle) for needle in result.needles if needle.answers),
        f"verdict: {result.verdict}: {result.reason}",
    ])  # fmt: skip


def _line(needle: Needle) -> str:
    scores = "no logprobs" if needle.scores is None else f"{needle.scores} of logprobs"
    line = f"  distinct of {needle.answers} answers: {needle.texts} of text, {scores}; {needle.prompt[:40]!r}"
    if needle.divergence is not None:
        line += f"\n    first difference after {needle.divergence} characters"
    return line + (f"\n    other than at first: {', '.join(needle.waves)}" if needle.waves else "")
