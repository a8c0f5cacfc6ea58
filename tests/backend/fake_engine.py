"""Acts as an engine's server: copied into a package of the engine's name, it is what `python -m` finds there.

Its model's name says how it behaves: `plain`, `crash` (ends at once), `deaf` (keeps on at the first signal),
`family` (starts a child, and leaves it behind) or `slow` (not ready when it is first asked, and ends once it was).
What it sees goes to the file that FAKE_ENGINE_LOG names.
"""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

ARGUMENTS = sys.argv[1:]
BEHAVIOUR = next(
    (word for word in ("plain", "crash", "deaf", "family", "slow") if word in ARGUMENTS), "plain"
)


def note(**seen: object) -> None:
    with Path(os.environ["FAKE_ENGINE_LOG"]).open("a") as log:
        log.write(json.dumps(seen) + "\n")


def stop(number: int, frame: object) -> None:
    note(signal=number)
    if BEHAVIOUR != "deaf":
        sys.exit(7)


class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        Handler.asked += 1
        self.send_response(503 if BEHAVIOUR == "slow" and Handler.asked == 1 else 200)
        self.send_header("content-length", "0")
        self.end_headers()
        if BEHAVIOUR == "slow" and Handler.asked > 1:
            threading.Thread(target=self.server.shutdown).start()

    def log_message(self, *arguments: object) -> None:
        """Nothing: what is on stderr is looked at."""


if __name__ == "__main__":
    if BEHAVIOUR == "crash":
        sys.exit(3)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    child = subprocess.Popen(["sleep", "1000"]) if BEHAVIOUR == "family" else None
    note(pid=os.getpid(), child=child and child.pid, invariant=os.environ.get("VLLM_BATCH_INVARIANT"))
    flag = next(flag for flag in ("--port", "--server-port") if flag in ARGUMENTS)
    port = int(ARGUMENTS[ARGUMENTS.index(flag) + 1])
    http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
