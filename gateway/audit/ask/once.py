"""One request of an audit."""

from dataclasses import dataclass

from gateway.audit.questions import body_of, form_of
from gateway.audit.spec import Prompt, Spec
from gateway.calling.post import Failed, Place, post
from gateway.core.ballot import Reply
from gateway.upstream.client import field
from gateway.wire.replies import UnreadableAnswer


@dataclass(frozen=True, slots=True)
class Server:
    """Who is asked."""

    place: Place
    engine: str


@dataclass(frozen=True, slots=True)
class Said:
    """An answer; `told` is what a gateway in between says of it."""

    reply: Reply
    seconds: float
    told: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Busy:
    """Not now. `seconds` is what the server asks for; None if it does not say."""

    seconds: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """No answer. `status` is the server's, None if it sent none."""

    detail: str
    status: int | None = None


async def ask_once(
    server: Server, spec: Spec, prompt: Prompt, turn: int = 0, salt: str | None = None
) -> Said | Busy | Nothing:
    """Ask a prompt; whatever goes wrong is told, not raised."""
    got = await post(server.place, prompt.path, body_of(spec, prompt, server.engine, turn, salt))
    if isinstance(got, Failed):
        return Nothing(got.detail)
    if got.is_busy:
        return Busy(got.asks_for, got.words)
    if got.status != 200:
        return Nothing(got.words, got.status)
    try:
        reply = form_of(prompt).reply(got.body, field(got.headers, "content-type"))
    except UnreadableAnswer as error:
        return Nothing(f"no completion: {error}")
    return Said(reply, got.seconds, got.told)
