"""What can go wrong, and who is told.

* BackendError
  x UsageError      the command cannot run as asked: one line, exit code 2
  x RequestError    a client's mistake: an OpenAI-shaped 4xx
  x EngineError     the engine failed a request: an OpenAI-shaped 5xx
"""


class BackendError(Exception):
    """Base of all that this package raises on purpose."""


class UsageError(BackendError):
    """The command cannot run with these options; the message names the option and its value."""


class RequestError(BackendError):
    """A request that cannot be served as sent.

    Attributes:
        status: HTTP status to answer with.
        param: the body member at fault, if one is.
        code: OpenAI's machine-readable reason, if it has one.
    """

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code


class EngineError(BackendError):
    """A generation that could not be finished, or not begun.

    Attributes:
        status: 429 the queue is full, 500 the engine failed, 503 out of memory, or it stops or has stopped.
    """

    def __init__(self, message: str, *, status: int = 500) -> None:
        super().__init__(message)
        self.status = status

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.status != 500


def first_line(error: BaseException) -> str:
    """What an error says, in the one line that a command or a reply has room for; its class if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
