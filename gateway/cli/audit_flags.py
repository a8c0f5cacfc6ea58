"""The flags of `scg audit`, and what each of them takes."""

import argparse
from pathlib import Path

from gateway.audit.spec import KINDS, Spec
from gateway.cli.arguments import describe
from gateway.cli.flag_values import add_call_flags, answer, number, share, url, whole

_TEXT = """\
Ask the same prompts again and again - alone, in copies at once, among others, apart - and report how often the
answers are the same: as text, as answers, asked again under each policy, with intervals, and a recommendation.

Any OpenAI-compatible URL will do; several are replicas of one model. Written beside each other: OUT.jsonl (every
answer as it comes, so that --resume asks nothing twice), OUT.html, OUT.json and OUT.xml (JUnit).
Exit code 0, 1 if --fail-under is not reached or the answers did not come, 2 for bad usage or no server."""
_EXAMPLES = """\
  scg audit http://vllm:8000 --model Qwen/Qwen3-8B                      the built-in prompts: 1248 requests, 8 a second
  scg audit http://vllm:8000 --prompts prompts.txt --fail-under 0.99    in CI: exit code 1 if it does not hold
  scg audit http://vllm:8000 --prompts cases.jsonl --answer json --copies 20 --rate 30 --max-requests 10000
  scg audit http://vllm-a:8000 http://vllm-b:8000 --model m             replicas: do they agree with each other?
  scg audit http://vllm:8000 --reference http://vllm-ref:8000     what `strict` and `serial` come to with this lane
  scg audit http://127.0.0.1:8080 --model m --header "x-consistency-policy: strict"    through the gateway
  scg audit http://vllm:8000 --phases alone,apart --concurrency 1,64 --dry-run         what it would ask
  scg audit http://vllm:8000 --resume                                   go on after Ctrl-C
"""
_DEFAULT = Spec("", ())


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `scg audit`."""
    describe(parser, _TEXT, _EXAMPLES)
    parser.add_argument(
        "urls",
        nargs="+",
        metavar="URL",
        type=url,
        help="the server, with or without /v1; several are replicas",
    )
    parser.add_argument("--model", default="", metavar="M", help="the model (the only one listed)")
    parser.add_argument(
        "--reference",
        metavar="URL",
        type=url,
        help="a reference lane: policies that use one are tried with its answers (those that came alone)",
    )
    _add_what(parser.add_argument_group("what is asked"))
    _add_how(parser.add_argument_group("how it is asked"))
    _add_report(parser.add_argument_group("the report"))


def _add_what(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--prompts",
        type=Path,
        metavar="FILE",
        help="one prompt a line, or JSON lines with messages or prompt (built in)",
    )
    group.add_argument("--prompt-count", type=whole(1), metavar="N", help="only the first N prompts (all)")
    group.add_argument(
        "--answer",
        default=_DEFAULT.answer,
        type=answer,
        metavar="RULE",
        help="how answers are compared, as a policy's `answer`: text, json, number, … (%(default)s)",
    )
    group.add_argument(
        "--max-tokens",
        type=whole(1),
        default=_DEFAULT.max_tokens,
        metavar="N",
        help="of an answer (%(default)s)",
    )
    group.add_argument(
        "--temperature", type=number(0), default=_DEFAULT.temperature, metavar="T", help="(%(default)s)"
    )
    group.add_argument(
        "--seed", type=int, default=_DEFAULT.seed, metavar="N", help="of every copy (%(default)s)"
    )
    group.add_argument("--vary-seed", action="store_true", help="copy i samples with seed + i")
    group.add_argument(
        "--copies",
        type=whole(2),
        default=_DEFAULT.copies,
        metavar="N",
        help="of each prompt apart, at each concurrency; a policy of k needs 2 k (%(default)s)",
    )
    group.add_argument(
        "--concurrency",
        type=_levels,
        default=_DEFAULT.concurrencies,
        metavar="N,N",
        help="requests in flight (1,4,16)",
    )
    group.add_argument(
        "--phases",
        type=_phases,
        default=_DEFAULT.kinds,
        metavar="P,P",
        help=f"which of {','.join(KINDS)} (all)",
    )
    group.add_argument(
        "--gap",
        type=number(0),
        default=_DEFAULT.gap,
        metavar="S",
        help="seconds between copies apart (%(default)s)",
    )
    group.add_argument(
        "--endpoint",
        choices=("auto", "chat", "completions"),
        default="auto",
        help="for prompts that are plain text (auto: chat, else completions)",
    )
    group.add_argument("--no-salt", action="store_true", help="let copies share the engine's prefix cache")


def _add_how(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--rate",
        type=number(0),
        default=8.0,
        metavar="R",
        help="requests a second at most, 0 for no bound (%(default)s)",
    )
    group.add_argument(
        "--max-requests",
        type=whole(1),
        default=2000,
        metavar="N",
        help="in all, those that are sent again included (%(default)s)",
    )
    add_call_flags(group)
    group.add_argument(
        "--api-key-env",
        default="OPENAI_API_KEY",
        metavar="NAME",
        help="the variable that has the key (%(default)s)",
    )
    group.add_argument(
        "--pins", action="store_true", help="let a gateway answer from its pins: what clients see"
    )
    group.add_argument("--dry-run", action="store_true", help="say what would be asked, and ask nothing")


def _add_report(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--out",
        type=Path,
        default=Path("scg-audit"),
        metavar="OUT",
        help="the files' name without its end (%(default)s)",
    )
    again = group.add_mutually_exclusive_group()
    again.add_argument(
        "--resume", action="store_true", help="go on with OUT.jsonl; only what is missing is asked"
    )
    again.add_argument(
        "--fresh", action="store_true", help="start over; an OUT.jsonl that is there is kept aside"
    )
    group.add_argument(
        "--fail-under",
        type=share,
        metavar="X",
        help="exit code 1 if two copies apart have the same answer less often",
    )
    group.add_argument(
        "--target", type=share, metavar="X", help="what the recommendation aims at (--fail-under, else 0.99)"
    )


def _levels(text: str) -> tuple[int, ...]:
    return tuple(sorted({whole(1)(each.strip()) for each in text.split(",")}))


def _phases(text: str) -> tuple[str, ...]:
    wanted = [each.strip() for each in text.split(",")]
    for each in wanted:
        if each not in KINDS:
            raise argparse.ArgumentTypeError(f"no phase {each!r}; known: {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in wanted)
