"""`scg demo`: the PyTorch backend and the gateway in front of it, as two processes of this machine."""

import argparse
import errno
import json
import shlex
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from types import FrameType

from gateway.cli.arguments import add_config_flag, address, describe, load_settings
from gateway.cli.children import Child, ChildDied, fetch, progress

_EXAMPLES = """\
  scg demo                                       the small trained model that comes with the backend
  scg demo --model random                        random weights: the worst case for determinism
  scg demo --backend-args "--max-batch-size 4 --threads 2"
  SCG_PORT=9000 SCG_VOTE__K=5 scg demo           the gateway's settings come from the environment
"""
_BACKEND_PORT = 8000
_BACKEND_SECONDS, _GATEWAY_SECONDS = 300.0, 60.0
_WATCH_SECONDS = 0.3
_WELCOME = """
Watch a vote on {gateway}/?answer=number

The gateway answers on {gateway}/v1, in front of the model "{model}" on {backend}.

  curl -i {gateway}/v1/chat/completions -H 'content-type: application/json' -d '
    {{"model": "{model}", "messages": [{{"role": "user", "content": "What is 23 + 48 - 17 + 5?"}}], "max_tokens": 200,
     "consistency": {{"answer": "number"}}}}'

  openai.OpenAI(base_url="{gateway}/v1", api_key="none").chat.completions.create(
    model="{model}", messages=[{{"role": "user", "content": "What is 23 + 48 - 17 + 5?"}}], max_tokens=200,
    extra_body={{"consistency": {{"answer": "number"}}}})

metrics    {gateway}/metrics

Ctrl-C stops both.
"""


@dataclass(frozen=True, slots=True)
class Server:
    """What to run, and where it then answers."""

    command: Sequence[str]
    url: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `scg demo`."""
    describe(parser, "Run a small LLM server and the gateway in front of it, until Ctrl-C.", _EXAMPLES)
    add_config_flag(parser)
    parser.add_argument("--model", choices=("demo", "random"), default="demo", help="weights (%(default)s)")
    parser.add_argument(
        "--backend-args", default="", metavar="ARGS", help="more flags for `python -m backend torch`"
    )


def run(arguments: argparse.Namespace) -> int:
    """Start both, say where they are, stop both."""
    missing = [package for package in ("torch", "transformers") if find_spec(package) is None]
    if missing:
        return _fail(f"the backend needs {' and '.join(missing)}: pip install -e '.[backend]'", 1)
    backend_port = _BACKEND_PORT if _refusal("127.0.0.1", _BACKEND_PORT) is None else _free_port()
    arguments.upstream_url = f"http://127.0.0.1:{backend_port}"
    settings = load_settings(arguments)
    port = settings.port or _free_port()
    if refusal := _refusal(settings.host, port):
        return _fail(
            f"cannot listen on {settings.host}:{port}: {refusal}; choose another port with SCG_PORT=8081", 2
        )
    backend = [
        sys.executable,
        "-m",
        "backend",
        "torch",
        "--port",
        str(backend_port),
        "--model",
        arguments.model,
    ]
    gateway = [sys.executable, "-m", "gateway", "serve", "--host", settings.host, "--port", str(port)]
    gateway += ["--upstream-url", arguments.upstream_url]
    gateway += ["--config", str(arguments.config)] if arguments.config else []
    return run_both(
        Server([*backend, *shlex.split(arguments.backend_args)], arguments.upstream_url),
        Server(gateway, address(settings.host, port)),
    )


def run_both(backend: Server, gateway: Server, *, patience: float = 10.0) -> int:
    """The backend, then the gateway, until a signal (0) or until one of them dies (1); neither is left behind."""
    interruption = _Interruption()
    with ExitStack() as running:
        try:
            progress("starting the backend")
            below = running.enter_context(_child(Child("backend", backend.command, quiet=True), patience))
            below.wait_ready(f"{backend.url}/health", interruption.pause, timeout=_BACKEND_SECONDS)
            progress("starting the gateway")
            above = running.enter_context(_child(Child("gateway", gateway.command, quiet=False), patience))
            above.wait_ready(f"{gateway.url}/readyz", interruption.pause, timeout=_GATEWAY_SECONDS)
            model = _model(backend.url)
            print(_WELCOME.format(gateway=gateway.url, backend=backend.url, model=model), flush=True)
            while True:
                interruption.pause(_WATCH_SECONDS)
                below.check()
                above.check()
        except ChildDied as error:
            return _fail(str(error), 1)
        except _Interrupted:
            progress("stopping both")
            return 0


def _model(backend_url: str) -> str:
    """The name that requests must use."""
    listed = json.loads(fetch(f"{backend_url}/v1/models") or b'{"data": [{"id": "demo"}]}')
    return str(listed["data"][0]["id"])


class _Interrupted(Exception):
    pass


class _Interruption:
    """Signals as a question that is asked between steps: an exception out of nowhere could lose a child."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)
        if self._asked:
            raise _Interrupted


@contextmanager
def _child(child: Child, patience: float) -> Iterator[Child]:
    try:
        yield child
    finally:
        child.stop(patience)


def _refusal(host: str, port: int) -> str | None:
    """Why nobody can listen there now; None if somebody can."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return "the port is taken" if error.errno == errno.EADDRINUSE else str(error.strerror)
    return None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _fail(message: str, code: int) -> int:
    progress(message)
    return code
