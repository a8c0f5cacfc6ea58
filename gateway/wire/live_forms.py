"""Which endpoints can be shown while they are voted on."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.wire.forms.completions import CHAT, COMPLETIONS
from gateway.wire.forms.form import Form
from gateway.wire.forms.messages import MESSAGES
from gateway.wire.forms.responses import RESPONSES
from gateway.wire.live import LiveForm
from gateway.wire.live_chunks import CHAT_LIVE, COMPLETIONS_LIVE
from gateway.wire.live_messages import MESSAGES_LIVE
from gateway.wire.live_responses import RESPONSES_LIVE

_FORMS: Mapping[str, LiveForm] = MappingProxyType({
    CHAT.path: CHAT_LIVE,
    COMPLETIONS.path: COMPLETIONS_LIVE,
    RESPONSES.path: RESPONSES_LIVE,
    MESSAGES.path: MESSAGES_LIVE,
})  # fmt: skip


def live_form(form: Form) -> LiveForm | None:
    """How an endpoint streams while it is voted on; None where its streams are held until the verdict."""
    return _FORMS.get(form.path)
