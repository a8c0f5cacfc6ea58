"""Questions for people: what of them is shown, and how much."""

import json
from typing import Any


def last_words(messages: Any) -> str:
    """What the last message says; ValueError if these are no messages."""
    if not isinstance(messages, list) or not messages:
        raise ValueError("messages must be a list with at least one message")
    for at, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ValueError(f"messages[{at}] must be an object with role and content")  # noqa: TRY004  a line for the user
    return as_text(messages[-1].get("content"))


def as_text(said: Any) -> str:
    """A text as it is, anything else as JSON."""
    return said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)


def shortened(text: str, length: int) -> str:
    """At most so many characters, the last of which says that there are more."""
    return text if len(text) <= length else text[: length - 1] + "…"
