"""Every form there is."""

from gateway.wire.forms.completions import CHAT, COMPLETIONS
from gateway.wire.forms.form import Form
from gateway.wire.forms.messages import MESSAGES
from gateway.wire.forms.responses import RESPONSES

FORMS: tuple[Form, ...] = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)
