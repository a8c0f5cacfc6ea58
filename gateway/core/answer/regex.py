"""Answers found by an operator's regular expression, in time linear in the text."""

from functools import lru_cache
from itertools import islice
from typing import Any

_MOST = 128  # matches; each may have looked at all that follows it
_TAIL = 1024  # characters in which the last match is looked for beyond them
_LARGEST = 500  # instructions, RE2's own measure of what one character can cost


def refusal(pattern: str) -> str | None:
    """Why this pattern cannot be taken, with the construct that is at fault; None if it can."""
    import re2

    if not pattern:
        return "regex: needs a pattern"
    try:
        compiled = _compiled(pattern)
    except re2.error as error:
        return f"RE2 takes no such pattern: {_said(error)} (no look-around, backreference or possessive)"
    except UnicodeEncodeError:
        return "the pattern is not Unicode text"
    if compiled.programsize > _LARGEST:
        return (
            f"the pattern unfolds to {compiled.programsize} steps, at most {_LARGEST}: lower its repetitions"
        )
    return None


def last_match(pattern: str, text: str) -> str | None:
    """Group 1 of the last match, or all of it where there is no group; None if nothing matches.

    Empty matches are none. After 128 matches only the last 1 024 characters are looked through.
    """
    compiled = _compiled(pattern)
    group = min(compiled.groups, 1)
    text = text.encode("utf-8", "replace").decode()  # RE2 takes no lone surrogates
    first = list(islice(compiled.finditer(text), _MOST))
    rest = []
    if len(first) == _MOST:
        rest = list(compiled.finditer(text, max(first[-1].end(), len(text) - _TAIL)))
    return next((found for match in reversed(first + rest) if (found := match[group])), None)


@lru_cache(maxsize=128)
def _compiled(pattern: str) -> Any:
    """A pattern of RE2, whose import costs nothing where no policy has one."""
    import re2

    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


def _said(error: Exception) -> str:
    words = error.args[0]
    return words.decode(errors="replace") if isinstance(words, bytes) else str(words)
