"""`scg key`: API keys for clients. The gateway knows digests only, so a key is shown once."""

import argparse
import sys
from collections.abc import Callable
from secrets import token_urlsafe
from typing import TypeVar

from gateway.cli.arguments import describe
from gateway.serving.keyring import digest_of
from gateway.settings.values import name as parse_name
from gateway.settings.values import whole_number

Taken = TypeVar("Taken")

_BYTES = 32  # of randomness: nobody guesses one, so a plain digest of it can be kept
_SHORTEST = 20  # characters of a key of one's own
_EXAMPLES = """\
  scg key new team-a >> keys.yaml                      the key on the terminal, its entry into the file
  scg key new team-a --rpm 600 --tpm 200000
  scg key new ops --admin --replace
  scg key digest < key.txt                             the digest of a key that exists
"""
_NEW_EXAMPLES = """\
  scg key new team-a                                   an entry for `keys:`, or for the file that keys_file names
  scg key new team-a >> keys.yaml && pkill -HUP -o -x scg     and the gateway reads it anew
"""
_DIGEST_EXAMPLES = """\
  scg key digest < key.txt
  printf %s "$KEY" | scg key digest
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands of `scg key`."""
    describe(parser, "Make API keys for clients.", _EXAMPLES)
    actions = parser.add_subparsers(dest="action", required=True, metavar="new|digest")
    new = actions.add_parser("new", help="make a key and print its entry for the configuration")
    describe(
        new, "Make a key: its entry goes to standard output, the key itself to standard error.", _NEW_EXAMPLES
    )
    new.add_argument("name", type=_taken_by(parse_name), help="the tenant's; several keys may have one name")
    for limit, unit in (("rpm", "requests"), ("tpm", "tokens")):
        told = f"{unit} a minute, of all keys of this name"
        new.add_argument(f"--{limit}", type=_taken_by(whole_number(1)), metavar="N", help=told)
    new.add_argument("--admin", action="store_true", help="may use the admin endpoints")
    new.add_argument("--replace", action="store_true", help="`Cache-Control: no-cache` replaces pins")
    digest = actions.add_parser("digest", help="print the digest of a key read from standard input")
    describe(digest, "Print the SHA-256 by which a key is configured.", _DIGEST_EXAMPLES)


def run(arguments: argparse.Namespace) -> int:
    """Do one of the two."""
    if arguments.action == "digest":
        return _digest(sys.stdin.read().strip())
    key = f"scg-{token_urlsafe(_BYTES)}"
    print(f"scg key: the key of {arguments.name}, which is kept nowhere:\n{key}", file=sys.stderr)
    print(f"- {{{', '.join(_entry(arguments, digest_of(key)))}}}")
    return 0


def _entry(arguments: argparse.Namespace, digest: str) -> list[str]:
    given = {
        "name": f'"{arguments.name}"',
        "sha256": f'"{digest}"',
        "rpm": arguments.rpm,
        "tpm": arguments.tpm,
    }
    made = [f"{name}: {value}" for name, value in given.items() if value is not None]
    return made + [f"{name}: true" for name in ("admin", "replace") if getattr(arguments, name)]


def _digest(key: str) -> int:
    if len(key) < _SHORTEST or not key.isascii() or not key.isprintable():
        told = f"expected a key of at least {_SHORTEST} characters of printable ASCII on standard input"
        print(f"scg key: {told}", file=sys.stderr)
        return 2
    print(digest_of(key))
    return 0


def _taken_by(parse: Callable[[object], Taken]) -> Callable[[str], Taken]:
    """The parser of a setting for a flag: the same values, the same words."""

    def take(text: str) -> Taken:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{error}, got {text!r}") from error

    return take
