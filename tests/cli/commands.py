"""`scg` as a process of its own, and a scripted HTTP server for what it asks."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

SCG = (sys.executable, "-m", "gateway")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's, without settings of its own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SCG_")}
    return own | dict(extra or {})


def scg(*words: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    return subprocess.run(
        [*SCG, *words], env=environment(environ), capture_output=True, text=True, timeout=60, check=False
    )


@asynccontextmanager
async def begun(
    *words: str,
    environ: Mapping[str, str] | None = None,
    stdout: int = asyncio.subprocess.PIPE,
    stderr: int = asyncio.subprocess.PIPE,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """While it runs; it is killed if it still does when the test is over, or has failed."""
    process = await asyncio.create_subprocess_exec(
        *SCG, *words, env=environment(environ), stdout=stdout, stderr=stderr
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@contextmanager
def http_server(
    answers: Mapping[str, tuple[int, str]], wants: Mapping[str, str] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """A server that answers `METHOD /path` as told, 404 otherwise; yields its URL and the requests so far.

    A request without the fields that it `wants` is a 401.
    """
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name is http.server's
            seen.append(f"{self.command} {self.path}")
            status, body = answers.get(seen[-1], (404, json.dumps({"error": {"message": "no such thing"}})))
            if any(self.headers.get(name) != value for name, value in (wants or {}).items()):
                status, body = 401, "{}"
            self.send_response(status)
            self.send_header("content-length", str(len(body.encode())))
            self.end_headers()
            with suppress(BrokenPipeError):  # a client may have given up
                self.wfile.write(body.encode())

        do_DELETE = do_GET  # noqa: N815  likewise

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
