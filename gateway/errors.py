"""Everything that a client can be told went wrong.

* GatewayError
  x ClientError            the request is at fault; nothing was sent upstream
    - BadRequest           400, `param` names the member
    - Unauthorized         401
    - Forbidden            403
    - NotFound             404
    - UpstreamGone         404, what the request goes on from is with an upstream that is configured no more
    - MethodNotAllowed     405
    - RequestTimeout       408
    - TooLarge             413
    - UnsupportedEncoding  415
    - HeaderTooLarge       431
  x NoAgreement            422, the policy rejects a vote without agreement
  x Overloaded             429
  x RateLimited            429, a key's requests or tokens of this minute are used up
  x UpstreamAnswered       the upstream's own error, passed on byte for byte where clients can read it
  x NoQuorum               502, too few samples came for a vote
  x UpstreamUnreachable    502, no connection to any upstream
  x Superseded             502, inside a stream only: another verdict was pinned than the one being shown
  x ReferenceUnavailable   503, no reference lane to answer
    - NoArbiter            503, nor to arbitrate: the samples of a vote have come, and disagree
  x Draining               503
  x NotCached              504, `only-if-cached` and nothing pinned
  x DeadlineExceeded       504

Status, type and code are the class's; SDKs branch on them. `should_retry` becomes `x-should-retry`, which
openai-python obeys: a vote that failed would fail again at k times the cost.
"""

from typing import ClassVar


class GatewayError(Exception):
    """A failure with an HTTP status and OpenAI's error members."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str | None] = "internal_error"
    should_retry: ClassVar[bool | None] = None

    def __init__(
        self, message: str, *, param: str | None = None, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = headers


class ClientError(GatewayError):
    """The request is at fault."""

    status = 400
    type = "invalid_request_error"
    code = "bad_request"


class BadRequest(ClientError):
    """400: a member that cannot be taken; `param` names it."""

    code = "invalid_value"


class Unauthorized(ClientError):
    """401: no key, or one that is not configured."""

    status = 401
    code = "invalid_api_key"


class Forbidden(ClientError):
    """403: an admin endpoint asked for by somebody else."""

    status = 403
    type = "permission_error"
    code = "forbidden"


class NotFound(ClientError):
    """404: no such route, or nothing under this key."""

    status = 404
    code = "not_found"


class UpstreamGone(NotFound):
    """404: what the request goes on from is kept by an upstream that is no longer configured. No retry finds it."""

    code = "upstream_gone"


class MethodNotAllowed(ClientError):
    """405: the route exists, the method does not."""

    status = 405
    code = "method_not_allowed"


class RequestTimeout(ClientError):
    """408: a request that did not come in whole in time."""

    status = 408
    code = "request_timeout"


class TooLarge(ClientError):
    """413: a body over `limits.max_body`."""

    status = 413
    code = "body_too_large"


class UnsupportedEncoding(ClientError):
    """415: a body in a content coding that is not understood."""

    status = 415
    code = "unsupported_encoding"


class HeaderTooLarge(ClientError):
    """431: a header over its bound."""

    status = 431
    code = "header_too_large"


class NoAgreement(GatewayError):
    """422: the vote ended below `min_agreement` under `on_disagreement: reject`. Never 409, which SDKs retry."""

    status = 422
    type = "no_agreement"
    code = "no_agreement"
    should_retry = False

    def as_joined(self, policy: str) -> "NoAgreement":
        """The same for somebody who waited for another's vote, under a policy that may have another name."""
        own = {"x-consistency-source": "joined", "x-consistency-policy": policy}
        told = ((name, own.get(name, value)) for name, value in self.headers)
        return NoAgreement(self.message, headers=tuple(told))


class Overloaded(GatewayError):
    """429: more at once than the limits allow."""

    status = 429
    type = "rate_limit_error"
    code = "overloaded"


class RateLimited(GatewayError):
    """429: the requests or tokens of a key's minute are used up."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class UpstreamAnswered(GatewayError):
    """An upstream's own error: its status, its body if that is an object, and what to say where that says nothing."""

    code = "upstream_error"

    def __init__(self, status: int, body: bytes, headers: tuple[tuple[str, str], ...], said: str) -> None:
        super().__init__(said, headers=headers)
        self.upstream_status = status
        self.body = body


class NoQuorum(GatewayError):
    """502: too few samples came, and for different reasons."""

    status = 502
    type = "upstream_error"
    code = "no_quorum"
    should_retry = False


class UpstreamUnreachable(GatewayError):
    """502: no upstream could be connected to."""

    status = 502
    type = "upstream_error"
    code = "upstream_unreachable"


class Superseded(GatewayError):
    """502, inside a stream: what was shown is not what is pinned, since another process pinned first."""

    status = 502
    code = "superseded"


class ReferenceUnavailable(GatewayError):
    """503: the policy wants the reference lane, and it is down, not trusted, or failed."""

    status = 503
    code = "reference_unavailable"


class NoArbiter(ReferenceUnavailable):
    """The same after a vote whose samples disagree: whoever finds it again pays for all of them again."""


class Draining(GatewayError):
    """503: this process is shutting down."""

    status = 503
    code = "draining"


class NotCached(GatewayError):
    """504: `Cache-Control: only-if-cached` and nothing pinned (RFC 9111, section 5.2.1.7)."""

    status = 504
    code = "not_cached"
    should_retry = False


class DeadlineExceeded(GatewayError):
    """504: no verdict within the deadline."""

    status = 504
    type = "timeout_error"
    code = "deadline_exceeded"
    should_retry = False
