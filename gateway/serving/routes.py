"""Which function answers which path."""

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from gateway.door.answer import Answer
from gateway.door.request import Reply, Request
from gateway.errors import MethodNotAllowed, NotFound
from gateway.serving import completions, operations, page
from gateway.serving.gateway import Gateway
from gateway.serving.passthrough import pass_through
from gateway.serving.targets import METHODS
from gateway.serving.trace import Trace
from gateway.wire.forms.table import FORMS

# What needs no waiting is a plain function, or returns at once.
Handler = Callable[[Gateway, Request, Trace], Answer | Coroutine[Any, Any, Reply]]

_PATHS: Mapping[str, Mapping[str, Handler]] = {
    **{form.path: {"POST": partial(completions.complete, form)} for form in FORMS},
    "/v1/models": {"GET": operations.models},
    "/v1/consistency/summary": {"GET": operations.summary},
    page.EVENTS_PATH: {"GET": page.events},
    page.ASK_PATH: {"POST": page.ask},
    "/": {"GET": page.page, "HEAD": page.page},
    "/healthz": {"GET": operations.healthz, "HEAD": operations.healthz},
    "/readyz": {"GET": operations.readyz, "HEAD": operations.readyz},
    "/metrics": {"GET": operations.metrics, "HEAD": operations.metrics},
    "/tokenize": {"POST": pass_through},
    "/detokenize": {"POST": pass_through},
}
_PINS: Mapping[str, Handler] = {"GET": operations.get_pin, "DELETE": operations.delete_pin}
_THROUGH: Mapping[str, Handler] = dict.fromkeys(METHODS, pass_through)


def find_handler(method: str, path: str) -> Handler:
    """The handler of a path; NotFound or MethodNotAllowed if there is none."""
    methods = _PATHS.get(path)
    if methods is None:
        if path.startswith(operations.PIN_PATH):
            methods = _PINS
        elif _goes_through(path):
            methods = _THROUGH
        else:
            raise NotFound(f"no route {method} {path}")
    handler = methods.get(method)
    if handler is None:
        allowed = ", ".join(sorted(methods))
        raise MethodNotAllowed(f"{path} takes {allowed}", headers=(("allow", allowed),))
    return handler


def _goes_through(path: str) -> bool:
    """Whether it is the upstream's: all under /v1 but what is under our own name."""
    return path.startswith("/v1/") and path != "/v1/" and not path.startswith("/v1/consistency/")
