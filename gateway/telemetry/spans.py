"""Traces: a request, its round, its samples, as spans of OpenTelemetry, where somebody is there to take them.

Whether there is somebody is found out once, at the start. Without, `NoSpans` stands in and nothing of OpenTelemetry
is imported.
"""

from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

from gateway.core.ballot import Abstention, Sample
from gateway.core.record import RoundRecord
from gateway.core.round import Launch

Made = TypeVar("Made")
Headers = Sequence[tuple[str, str]]
Ask = Callable[[Launch], Coroutine[Any, Any, Sample | Abstention]]
Coming = Coroutine[Any, Any, Made]
Span = AbstractContextManager[object]


class Spans(Protocol):
    """Where traces go. Whatever is begun inside a span is its child, in tasks started there as well."""

    is_on: bool

    def round(self) -> Span:
        """A vote."""

    def voted(self, record: RoundRecord) -> None:
        """What came of the round whose span this is."""

    def sampled(self, ask: Ask, operation: str, model: str) -> Ask:
        """The same `ask`, with a span for each sample."""

    def passed(self, coming: Coming[Made], model: str) -> Coming[Made]:
        """The same `coming`, with a span: the answer to a request that is passed on to an upstream."""

    def carry(self, headers: Headers) -> Headers:
        """The fields of a request that is made inside this span, which tell its server so (W3C Trace Context)."""

    async def aclose(self) -> None:
        """Send what is there, if that can be done soon."""


class NoSpans:
    """Nobody wants traces. A client's `traceparent` goes on as it came."""

    is_on = False

    def round(self) -> Span:
        """None."""
        return _NOTHING

    def voted(self, record: RoundRecord) -> None:
        """Nobody is told."""

    def sampled(self, ask: Ask, operation: str, model: str) -> Ask:  # noqa: ARG002  the protocol's
        """It itself."""
        return ask

    def passed(self, coming: Coming[Made], model: str) -> Coming[Made]:  # noqa: ARG002  likewise
        """It itself."""
        return coming

    def carry(self, headers: Headers) -> Headers:
        """As they are."""
        return headers

    async def aclose(self) -> None:
        """Nothing to send."""


_NOTHING = nullcontext()
