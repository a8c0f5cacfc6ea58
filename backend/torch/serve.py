"""The process around the server: socket, model, signals."""

import errno
import gc
import socket

from aiohttp import web

from backend.errors import UsageError
from backend.torch.config import EngineConfig, ServerConfig
from backend.torch.model import Model, load
from backend.torch.server import create_app

# Seconds for handlers to write the ends of their replies once the engine has stopped.
_LAST_WORDS = 1.0


def serve(engine: EngineConfig, server: ServerConfig) -> None:
    """Serve until SIGINT or SIGTERM; prints one line when ready.

    Raises:
        UsageError: the address cannot be had, or the model cannot be run.
    """
    # First the port, which takes no time, then the model, which takes seconds. It does not listen yet.
    with _bound(server.host, server.port) as listener:
        model = load(engine)
        name = server.served_model_name or model.name
        # What was loaded stays: the collector need not look at it in the middle of a step.
        gc.freeze()
        web.run_app(
            create_app(model, engine, name, grace=server.shutdown_timeout),
            sock=listener,
            handler_cancellation=True,
            shutdown_timeout=_LAST_WORDS,
            access_log=None,
            print=lambda _: print(_ready_line(name, model, listener), flush=True),
        )


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UsageError(f"--host {host}: {error.strerror}") from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"--port {port}: in use on {host}") from error
        raise UsageError(f"--host {host} --port {port}: {error.strerror}") from error
    return listener


def _ready_line(name: str, model: Model, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    size = f"{model.num_parameters / 1e6:.1f} M parameters"
    return f"backend: {name} ({size}, {model.dtype_name}, {model.device.type}) on http://{shown}:{port}/v1"
