"""How long the first token takes when samples are voted on, against a single stream, on the real backend.

Starts the PyTorch backend (the demo model) and the gateway, and asks streams in turns: straight, k=1 and k=3 through
the gateway, at temperature 0 so that samples agree.

    python benchmarks/first_token.py
    python benchmarks/first_token.py --device cuda --turns 60
    python benchmarks/first_token.py --terms 200            a prompt of about 1,000 tokens
"""

import argparse
import json
import os
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

# Started as a script: the repository takes the place of this folder on the path.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.determinism import running  # noqa: E402  only importable from here on
from benchmarks.machine import describe_machine  # noqa: E402

_RESULT = Path(__file__).resolve().parent / "results/votes/first_token.json"
_GOAL = 1.5


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, keep; 1 if the goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=30, help="of each way (default: 30)")
    parser.add_argument("--terms", type=int, default=4, help="of the sum in question (default: 4)")
    parser.add_argument("--device", default="cpu", help="the backend's (default: cpu)")
    parser.add_argument("--ports", type=int, nargs=2, default=(9801, 9802), help="of backend and gateway")
    parser.add_argument("--results", type=Path, default=_RESULT, help="where the JSON goes")
    args = parser.parse_args(argv)
    backend, gateway = (f"http://127.0.0.1:{port}" for port in args.ports)
    torch = ["backend", "torch", "--device", args.device, "--port", str(args.ports[0])]
    serve = ["gateway", "serve", "--upstream-url", backend, "--port", str(args.ports[1])]
    ways = {"straight": (backend, 0), "k=1": (gateway, 1), "k=3": (gateway, 3)}
    found: dict[str, list[float]] = {name: [] for name in ways}
    with ExitStack() as stack:
        stack.enter_context(running(torch, f"{backend}/health"))
        stack.enter_context(running(serve, f"{gateway}/readyz"))
        for turn in range(args.turns + 1):
            for name, (url, k) in ways.items():
                seconds = first_token(url, k, question(turn, args.terms))
                if turn:  # the first one warms up
                    found[name].append(seconds)
    medians = {name: median(each) for name, each in found.items()}
    ratio = medians["k=3"] / medians["straight"]
    for name, seconds in medians.items():
        print(f"{name}: {1e3 * seconds:.1f} ms to the first token")
    print(f"k=3 over straight: {ratio:.2f} (goal: at most {_GOAL})")
    kept = {"machine": describe_machine(), "device": args.device, "turns": args.turns, "terms": args.terms}
    kept |= {"seconds": medians, "ratio": ratio}
    args.results.write_text(json.dumps(kept, indent=1) + "\n")
    return 0 if ratio <= _GOAL else 1


def question(turn: int, terms: int) -> str:
    """A sum that is asked in no other turn."""
    return (
        f"What is {turn + 11}" + "".join((" + 48", " - 17", " + 5")[at % 3] for at in range(terms - 1)) + "?"
    )


def first_token(url: str, k: int, asked: str) -> float:
    """Seconds from sending the question to the first chunk with text."""
    body: dict[str, object] = {
        "model": "demo",
        "messages": [{"role": "user", "content": asked}],
        "temperature": 0,
        "seed": 1,
        "max_tokens": 100,
        "stream": True,
    }
    if k:
        body["consistency"] = {"k": k}
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
    began, first = time.perf_counter(), 0.0
    with urllib.request.urlopen(request, timeout=120) as answer:
        for line in answer:
            if not first and line.startswith(b"data: {"):
                delta = json.loads(line[6:])["choices"]
                if delta and delta[0]["delta"].get("content"):
                    first = time.perf_counter() - began
    return first


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
