"""What flags take, of whatever command: each function makes a value of a flag's text, or says what was expected.

And the flags that all commands have which ask a server.
"""

import argparse
from collections.abc import Callable

from gateway.core.policy_fields import PolicyError, parse_field
from gateway.settings.urls import parse_upstream_url


def url(text: str) -> str:
    """A server's, without `/v1`."""
    try:
        return parse_upstream_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, got {text!r}") from error


def answer(text: str) -> str:
    """A rule of answers, as a policy's `answer`."""
    try:
        return str(parse_field("answer", text))
    except PolicyError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def whole(low: int) -> Callable[[str], int]:
    """Whole numbers of at least so much."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < low:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {low}, got {text!r}")
        return int(text)

    return parse


def number(low: float) -> Callable[[str], float]:
    """Numbers of at least so much."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not low <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"expected a number of at least {low:g}, got {text!r}")
        return value

    return parse


def share(text: str) -> float:
    """From 0 to 1."""
    value = number(0)(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 1, got {text!r}")
    return value


def header(text: str) -> tuple[str, str]:
    """A header field."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"expected NAME:VALUE, got {text!r}")
    return name.strip(), value.strip()


def add_call_flags(group: "argparse._ActionsContainer") -> None:
    """How a server is called: `--timeout`, `--header`, `--ca-file`."""
    group.add_argument(
        "--timeout", type=number(1), default=600.0, metavar="S", help="seconds for one answer (%(default)s)"
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
