"""The worker: answers come in on stdin, what they say goes out on stdout, until stdin ends.

A frame is four bytes of length and that much JSON. A request is [rule, seconds, content, refusal, calls], a
reply the canonical answer or null. The very first request is [], answered once there is a worker, and the
first one for `math` is preceded by `null`, which loads what it takes: no answer pays for either.
"""

import json
import os
import resource
import signal
import sys
from contextlib import suppress
from math import ceil
from typing import Any, BinaryIO

from gateway.core.ballot import Reply, extract, from_content

_MEMORY = 2 << 30  # bytes of address space: a tower of powers dies here instead of taking the machine


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer every request, in order."""
    while length := requests.read(4):
        reply = json.dumps(_answer(json.loads(requests.read(int.from_bytes(length))))).encode()
        replies.write(len(reply).to_bytes(4) + reply)
        replies.flush()


def _answer(request: list[Any] | None) -> str | None:
    if request is None:
        from gateway.extraction.mathematics import canonical_math

        return canonical_math(r"\boxed{\frac{x}{2}}")  # builds the parser's tables as well
    if not request:
        return None
    rule, seconds, content, refusal, calls = request
    # Nobody is left to end a worker that hangs after its gateway was killed: no handler, so this ends it.
    signal.alarm(ceil(seconds) + 1)
    try:
        return _extract(Reply(content, refusal, tuple((name, given) for name, given in calls)), rule)
    except Exception:  # noqa: BLE001  whatever a parser makes of an answer, the answer is spoiled
        return None
    finally:
        signal.alarm(0)


def _extract(reply: Reply, rule: str) -> str | None:
    if rule != "math":
        return extract(reply, rule)
    from gateway.extraction.mathematics import canonical_math

    return from_content(reply, canonical_math)


def main() -> None:
    """Serve on the standard streams; whatever a library prints goes nowhere near the replies."""
    with suppress(ValueError, OSError):  # macOS knows the limit, and refuses it
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
