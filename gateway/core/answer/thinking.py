"""Reasoning that an engine left in the content, which is not voted on."""

import re

_OPENING = re.compile(r"\s*<think>")
_OPEN, _CLOSE = "<think>", "</think>"


def after_thinking(content: str) -> str | None:
    """What follows the leading `<think>…</think>` blocks; None where the answer was cut while thinking.

    Templates that open the block themselves, as DeepSeek-R1's does, leave only its end in the content.
    """
    end = content.find(_CLOSE)
    start = 0 if end < 0 or _OPEN in content[:end] else end + len(_CLOSE)
    while opening := _OPENING.match(content, start):
        end = content.find(_CLOSE, opening.end())
        if end < 0:
            return None
        start = end + len(_CLOSE)
    return content[start:]
