"""The problem and the cure, counted: how many texts one prompt gets, with the gateway and without.

Starts the PyTorch backend and a gateway in front of it, sends every prompt many times in random order,
twelve at once, at temperature 0 with a fixed seed, first to the backend and then through the gateway.

    python benchmarks/determinism.py                    random weights, the worst case
    python benchmarks/determinism.py --model demo       the trained model, the mild one
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

PROMPTS = [
    f"{asked}{' + 7' * (number % 5)}{end}"
    for number, (asked, end) in enumerate(
        [
            ("What is 23 + 48", "?"),
            ("Explain 5 + 6 - 7", ""),
            ("How much is 812 - 34 + 9", "?"),
            ("9 + 9", ""),
            ("Compute 1 + 2 + 3 + 4", ""),
            ("What is 100 - 1", "?"),
            ("Explain 17 + 18", ""),
            ("How much is 3 + 333", "?"),
            ("640 - 24", ""),
            ("Compute 71 + 17 - 8", ""),
        ]
    )
]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="random", help="the backend's --model (default: random)")
    parser.add_argument("--copies", type=int, default=20, help="requests per prompt (default: 20)")
    parser.add_argument("--tokens", type=int, default=48, help="max_tokens (default: 48)")
    parser.add_argument("--ports", type=int, nargs=2, default=(9801, 9802), help="of backend and gateway")
    args = parser.parse_args(argv)
    backend, gateway = (f"http://127.0.0.1:{port}" for port in args.ports)
    with (
        running(
            ["backend", "torch", "--model", args.model, "--port", str(args.ports[0])], f"{backend}/health"
        ),
        running(
            ["gateway", "serve", "--upstream-url", backend, "--port", str(args.ports[1])], f"{gateway}/readyz"
        ),
    ):
        model = json.load(urllib.request.urlopen(f"{backend}/v1/models"))["data"][0]["id"]
        print(
            f"{len(PROMPTS)} prompts x {args.copies} copies, model {args.model}, bfloat16, 12 at once, T=0, seed 1\n"
        )
        print("| | prompts with one text | different texts in all | most for one prompt | seconds |")
        print("|---|--:|--:|--:|--:|")
        for name, url in (("straight to the backend", backend), ("through the gateway", gateway)):
            print(f"| {name} | {row(url, model, args.copies, args.tokens)} |", flush=True)
    return 0


def row(url: str, model: str, copies: int, tokens: int) -> str:
    """The cells of one row."""
    asked = PROMPTS * copies
    random.Random(1).shuffle(asked)
    began = time.monotonic()
    with ThreadPoolExecutor(12) as pool:
        texts = Counter(pool.map(lambda prompt: (prompt, ask(url, model, prompt, tokens)), asked))
    per_prompt = Counter(prompt for prompt, _ in texts)
    stable = sum(number == 1 for number in per_prompt.values())
    most, seconds = max(per_prompt.values()), time.monotonic() - began
    return f"{stable} of {len(PROMPTS)} | {len(texts)} | {most} | {seconds:.1f}"


def ask(url: str, model: str, prompt: str, tokens: int) -> str:
    """The text of one answer."""
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "temperature": 0, "seed": 1}
    data = json.dumps(body | {"max_tokens": tokens}).encode()
    request = urllib.request.Request(f"{url}/v1/chat/completions", data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        content: str = json.load(answer)["choices"][0]["message"]["content"]
    return content


@contextmanager
def running(arguments: Sequence[str], ready: str) -> Iterator[None]:
    """One of our own programs, until it answers and until we are done."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not answers(ready):
            if process.poll() is not None:
                sys.exit(f"{' '.join(arguments)} ended with {process.returncode}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    """Whether this URL answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
