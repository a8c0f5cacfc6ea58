"""The names of the answer rules, and how `auto` becomes one of them."""

from gateway.core.answer import regex

ANSWERS = ("auto", "text", "normalized", "json", "tool_calls", "number", "boxed", "choice", "math")
REGEX = "regex:"

# What `auto` stands for where a request asks for more than text. No policy can name these.
CALLS_OR_TEXT, CALLS_OR_JSON = "calls-or-text", "calls-or-json"

_LARGE = 16_384  # characters that any rule reads in some ten milliseconds at the very worst


def resolve(answer: str, *, has_tools: bool, wants_json: bool) -> str:
    """The rule of one round: `auto` by what the request asks for, every other as it is."""
    if answer != "auto":
        return answer
    if wants_json:
        return CALLS_OR_JSON
    return CALLS_OR_TEXT if has_tools else "text"


def parse_answer(value: object) -> str:
    """A policy's `answer` field; ValueError says what was expected, or what is wrong with a pattern."""
    if isinstance(value, str) and value.startswith(REGEX):
        if wrong := regex.refusal(value.removeprefix(REGEX)):
            raise ValueError(wrong)
        return value
    if value not in ANSWERS:
        raise ValueError(f"expected {', '.join(ANSWERS)} or regex:PATTERN")
    return str(value)


def is_costly(rule: str, size: int) -> bool:
    """Whether an answer of `size` characters takes so long to read that no event loop should do it."""
    return rule == "math" or (size > _LARGE and rule != "text")
