"""Every form there is."""

from collections.abc import Mapping

from gateway.wire.forms.completions import CHAT, COMPLETIONS
from gateway.wire.forms.form import Form
from gateway.wire.forms.messages import MESSAGES
from gateway.wire.forms.responses import RESPONSES

FORMS: tuple[Form, ...] = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)
BY_PATH: Mapping[str, Form] = {form.path: form for form in FORMS}


def form_at(path: str) -> Form:
    """The form in which a client of this path reads errors: Anthropic's on its API's paths, else OpenAI's."""
    return MESSAGES if path.startswith(MESSAGES.path) else CHAT
