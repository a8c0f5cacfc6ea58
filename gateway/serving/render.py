"""An answer in the form that the client asked for."""

from gateway.core.pin import Pin
from gateway.serving.wanted import Wanted
from gateway.wire.forms.form import Form
from gateway.wire.telling import write_events


def as_plain(form: Form, pin: Pin) -> bytes:
    """One JSON body: the winner's own bytes, or what its events spell out."""
    return form.plain(pin.body) if pin.streamed else pin.body


def as_stream(
    wanted: Wanted, pin: Pin, told: dict[str, str] | None = None, *, in_comment: bool = True
) -> bytes:
    """All events of the stream: the winner's own, or what its body would have been as events.

    `told` is what is said of the verdict: in the usage chunk, and in a comment what the header could not say yet.
    """
    return write_events(
        wanted.endpoint.events(pin.body, streamed=pin.streamed),
        include_usage=wanted.include_usage,
        usage_in_chunks=wanted.usage_in_chunks,
        told=told,
        in_comment=in_comment,
    )
