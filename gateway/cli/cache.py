"""`scg cache`: look into a running gateway's pins, over its admin endpoints."""

import argparse
import json
import os
import sys
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from gateway.cli.arguments import describe, gateway_url
from gateway.errors import NotFound
from gateway.settings.spelling import ADMIN_KEY

_TIMEOUT = 10.0
_ABOUT = """\
Ask a running gateway about its pins. Exit code 0; 1 if nothing is pinned under the key; 2 if the gateway is not there
or refuses, or what was given is no key."""
_EXAMPLES = """\
  scg cache stats            rounds, agreement, hits
  scg cache get KEY          what is pinned under a key (header x-consistency-key)
  scg cache delete KEY       forget it: the next request votes again
"""
_STATS_EXAMPLES = """\
  scg cache stats --url http://127.0.0.1:9000
  SCG_PORT=9000 scg cache stats | jq .
  SCG_ADMIN_KEY=scg-... scg cache stats        a gateway with keys wants one with `admin: true`
"""
_KEY_EXAMPLES = """\
  scg cache {action} KEY
  scg cache {action} KEY --url http://127.0.0.1:9000
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands of `scg cache`."""
    describe(parser, _ABOUT, _EXAMPLES)
    actions = parser.add_subparsers(dest="action", required=True, metavar="stats|get|delete")
    stats = actions.add_parser("stats", help="print the summary")
    describe(stats, "Print the gateway's summary as JSON.", _STATS_EXAMPLES)
    for action, told in (("get", "print what is pinned under a key"), ("delete", "forget what is pinned")):
        made = actions.add_parser(action, help=told)
        describe(made, f"{told.capitalize()}.", _KEY_EXAMPLES.format(action=action))
        made.add_argument("key", help="the key, as in the header x-consistency-key")
    for made in actions.choices.values():
        made.add_argument(
            "--url",
            type=_base_url,
            default=gateway_url(),
            help="the gateway (by SCG_HOST and SCG_PORT %(default)s)",
        )


def run(arguments: argparse.Namespace) -> int:
    """Ask, and print the answer as JSON."""
    method, path = "GET", "/v1/consistency/summary"
    if arguments.action != "stats":
        method = {"get": "GET", "delete": "DELETE"}[arguments.action]
        path = f"/v1/consistency/cache/{quote(arguments.key, safe='')}"
    try:
        answer = _ask(method, arguments.url + path)
    except HTTPError as error:
        code, told = _told(error)
        if arguments.action != "stats" and code == NotFound.code:
            return _fail(f"nothing is pinned under {arguments.key}", 1)
        hint = f"; {ADMIN_KEY} is to hold a key with `admin: true`" if error.code == 401 else ""
        return _fail(f"the gateway refuses: {told} ({error.code}){hint}")
    except (URLError, HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        return _fail(f"cannot reach {arguments.url}: {getattr(reason, 'strerror', None) or reason}")
    except ValueError:
        return _fail(f"{arguments.url} does not answer like a gateway")
    print(json.dumps({"deleted": arguments.key} if answer is None else answer, indent=2, ensure_ascii=False))
    return 0


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise argparse.ArgumentTypeError(f"expected a url like http://127.0.0.1:8080, got {text!r}")
    return text.rstrip("/").removesuffix("/v1")


def _ask(method: str, url: str) -> Any:
    """The answer's JSON; None if it has no body. Proxies are left alone: without keys admin is for the loopback."""
    headers = {"accept": "application/json"}
    if key := os.environ.get(ADMIN_KEY, "").strip():
        headers["authorization"] = f"Bearer {key}"
    request = Request(url, method=method, headers=headers)  # noqa: S310  http(s), checked
    with build_opener(ProxyHandler({})).open(request, timeout=_TIMEOUT) as response:
        body = response.read()
    return json.loads(body) if body.strip() else None


def _told(error: HTTPError) -> tuple[object, object]:
    """The code and the words of the gateway's own error; of another server's the status in words."""
    try:
        told = json.loads(error.read())["error"]
        return told.get("code"), told["message"]
    except (ValueError, TypeError, LookupError, AttributeError, OSError, HTTPException):
        return None, error.reason


def _fail(message: str, code: int = 2) -> int:
    print(f"scg cache: {message}", file=sys.stderr)
    return code
