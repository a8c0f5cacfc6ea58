"""`scg ledger`: read the vote ledger, and count its rounds again."""

import argparse
import asyncio
import re
import sys
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.cli.arguments import add_config_flag, describe, load_settings
from gateway.cli.flag_values import whole

if TYPE_CHECKING:
    from gateway.settings.model import CacheSettings
    from gateway.store.ledger_reading import Written

_ABOUT = """\
Read the ledger of votes in Redis (docs/ledger.md). Exit code 0; 1 if a verdict does not follow, or there is nothing;
2 for bad usage, or if Redis cannot be read."""
_EXAMPLES = """\
  scg ledger show --config scg.yaml --last 3      the latest rounds, a line of JSON each
  scg ledger check --config scg.yaml              exit code 1 if a verdict does not follow from its samples
"""
_SHOW_EXAMPLES = """\
  SCG_UPSTREAM_URL=http://vllm:8000 SCG_CACHE__URL=redis://redis:6379/0 scg ledger show
  scg ledger show --config scg.yaml --last 1000 --key 9f3a0c... | jq .
"""
_CHECK_EXAMPLES = """\
  scg ledger check --config scg.yaml
  scg ledger check --config scg.yaml --since 2026-11-01
"""
_LAST = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands of `scg ledger`."""
    describe(parser, _ABOUT, _EXAMPLES)
    actions = parser.add_subparsers(dest="action", required=True, metavar="show|check")
    show = actions.add_parser("show", help="print rounds as lines of JSON")
    describe(show, "Print the latest rounds, the oldest first, a line of JSON each.", _SHOW_EXAMPLES)
    show.add_argument(
        "--last", type=whole(1), default=_LAST, metavar="N", help="so many of the latest (%(default)s)"
    )
    show.add_argument("--key", help="of these only what has this key, as in the header x-consistency-key")
    check = actions.add_parser("check", help="count all rounds again")
    describe(
        check,
        "Count every round again from the hashes of its samples. A line for each whose winner or agreement does not\n"
        "follow; exit code 1 if there is one, or nothing to count.",
        _CHECK_EXAMPLES,
    )
    for action in (show, check):
        add_config_flag(action)
        action.add_argument(
            "--since",
            type=_since,
            metavar="WHEN",
            help="a date or time (UTC unless it says otherwise), or an id of the stream",
        )


def run(arguments: argparse.Namespace) -> int:
    """Do one of the two."""
    cache = load_settings(arguments).cache
    if cache.url.startswith("memory:"):
        return _fail("cache.url: the ledger is in Redis, got memory://", 2)
    from gateway.store.away import Away  # redis-py, which what is wrong with the settings does not wait for

    try:
        action = _show if arguments.action == "show" else _check
        return asyncio.run(action(cache, arguments))
    except Away as away:
        return _fail(f"cannot read the ledger: {away}", 2)


async def _show(cache: "CacheSettings", arguments: argparse.Namespace) -> int:
    import msgspec

    from gateway.store.ledger_reading import read_ledger

    shown = 0
    async with aclosing(read_ledger(cache, arguments.since or "-", arguments.last)) as ledger:
        async for written in ledger:
            if written.entry is None:
                _warn(_unreadable(written))
            elif arguments.key in {None, written.entry.key}:
                shown += 1
                print(
                    msgspec.json.encode({"id": written.place} | msgspec.to_builtins(written.entry)).decode()
                )
    return 0 if shown else _nothing(cache)


async def _check(cache: "CacheSettings", arguments: argparse.Namespace) -> int:
    from gateway.core.recount import fault
    from gateway.store.ledger_reading import read_ledger

    counted = faults = 0
    async with aclosing(read_ledger(cache, arguments.since or "-")) as ledger:
        async for written in ledger:
            counted += 1
            told = _unreadable(written) if written.entry is None else fault(written.entry)
            if told is not None:
                faults += 1
                print(f"{written.place} key {written.entry.key or '-'}: {told}" if written.entry else told)
    if not counted:
        return _nothing(cache)
    print(f"{counted} rounds counted again: {counted - faults} follow from their samples, {faults} do not")
    return 1 if faults else 0


def _unreadable(written: "Written") -> str:
    return f"{written.place}: not an entry of this ledger"


def _nothing(cache: "CacheSettings") -> int:
    return _fail(f"nothing of the kind in {cache.prefix}:ledger (`ledger.stream: on` fills it)")


def _since(text: str) -> str:
    """A place in the stream: ids go there as they are, times as milliseconds."""
    if re.fullmatch(r"[0-9]{9,}(-[0-9]+)?", text):  # eight digits are a date
        return text
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"expected a time like 2026-11-28T09:30 or an id like 1764312245123-0, got {text!r}"
        ) from error
    return str(round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000))


def _warn(message: str) -> None:
    print(f"scg ledger: {message}", file=sys.stderr)


def _fail(message: str, code: int = 1) -> int:
    _warn(message)
    return code
