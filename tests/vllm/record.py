"""Asks a running vLLM every question and keeps what it answers, for the tests of our readers to replay.

    python -m tests.vllm.record http://127.0.0.1:8000

`tests/wire/recorded/NAME.json` or `.sse` is the body as it came; `index.json` has each one's
path and status, `questions.py` what was asked. The server is the one that `make test-vllm` starts.
"""

import json
import sys
import urllib.error
import urllib.request
from typing import Any

from tests.vllm.questions import QUESTIONS, Asked
from tests.wire.recordings import FOLDER


def ask(url: str, asked: Asked) -> tuple[int, str, bytes]:
    """The status, the content type and the body of one exchange."""
    data = None if asked.body is None else json.dumps(asked.body).encode()
    request = urllib.request.Request(url + asked.path, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers["content-type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["content-type"], error.read()


def main(url: str) -> None:
    """Record everything."""
    index: dict[str, Any] = {}
    for name, asked in QUESTIONS.items():
        status, kind, body = ask(url, asked)
        suffix = "sse" if kind.startswith("text/event-stream") else "json"
        (FOLDER / f"{name}.{suffix}").write_bytes(body)
        index[name] = {"path": asked.path, "status": status, "type": kind}
        print(status, len(body), name)  # noqa: T201  a command that tells what it does
    (FOLDER / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
