"""The questions of an audit: from a file, or built in."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from gateway.audit.spec import Prompt
from gateway.calling.shown import last_words, shortened
from gateway.errors import BadRequest
from gateway.upstream.engines import CHAT, COMPLETIONS
from gateway.wire.forms.table import BY_PATH

# Set by the audit itself, or more than one answer, or no answer to compare.
_NOT_THEIRS = ("model", "stream", "stream_options", "n", "best_of", "seed", "cache_salt", "consistency")
_SHOWN = 200  # characters of a prompt that reports show


class PromptsError(ValueError):
    """A file of prompts that cannot be taken: the message has the line and what is wrong with it."""


def read_prompts(text: str, name: str, path: str = CHAT) -> tuple[tuple[Prompt, ...], list[str]]:
    """The prompts of a file, and a notice for each line that only repeats another.

    One prompt a line, or JSON lines: an object with `messages` or `prompt`, and any further members of a request's
    body. `name` is the file's; `path` is where plain lines are asked.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise PromptsError(
            f"{name}: no prompt in it; expected one a line, or JSON lines with messages or prompt"
        )
    is_json = lines[0][1].startswith("{")
    seen: dict[Prompt, int] = {}
    notices = []
    for number, line in lines:
        try:
            prompt = _from_json(line) if is_json else plain_prompt(line, path)
        except ValueError as error:
            raise PromptsError(f"{name}:{number}: {error}") from error
        if prompt in seen:
            notices.append(
                f"{name}:{number}: repeats line {seen[prompt]}, left out: the prompt is what is counted"
            )
        else:
            seen[prompt] = number
    return tuple(seen), notices


def plain_prompt(text: str, path: str = CHAT) -> Prompt:
    """A prompt that is nothing but text, in the form of an endpoint."""
    own = {"messages": [{"role": "user", "content": text}]} if path == CHAT else {"prompt": text}
    return _prompt(text, path, own)


def as_completion(prompt: Prompt) -> Prompt:
    """The same text asked of /v1/completions, for servers that have no chat template."""
    members = {name: json.loads(value) for name, value in prompt.members}
    text = str(members.pop("messages")[-1].get("content", ""))
    return replace(_prompt(text, COMPLETIONS, {"prompt": text} | members), shown=prompt.shown)


def _from_json(line: str) -> Prompt:
    try:
        members = json.loads(line)
    except ValueError as error:
        raise ValueError(f"no JSON object: {error}") from error
    if not isinstance(members, dict):
        raise ValueError(f"expected a JSON object with messages or prompt, got {line[:60]}")  # noqa: TRY004  a line for the user
    for name in _NOT_THEIRS:
        if name in members:
            raise ValueError(f"{name} is not a prompt's to set here; scg audit --help has the flags")
    if ("messages" in members) == ("prompt" in members):
        raise ValueError("expected either messages or prompt")
    if "messages" in members:
        shown, path = last_words(members["messages"]), CHAT
    else:
        shown, path = members["prompt"], COMPLETIONS
        if not isinstance(shown, str) or not shown:
            raise ValueError("prompt must be a text")
    try:
        unvoted = BY_PATH[path].asks(members).unvoted
    except BadRequest as error:
        raise ValueError(str(error)) from error
    if unvoted:
        raise ValueError(f"{unvoted}: more than one run of that makes no sense to compare")
    return _prompt(shown, path, members)


def _prompt(shown: str, path: str, members: Mapping[str, Any]) -> Prompt:
    texts = tuple((name, json.dumps(value)) for name, value in members.items())
    return Prompt(shortened(shown, _SHOWN), path, texts)


def built_in(number: int, path: str = CHAT) -> tuple[Prompt, ...]:
    """At most as many prompts as there are: sums, facts, lists, prose and code, of different lengths."""
    return tuple(plain_prompt(text, path) for text, _ in zip(_texts(), range(number), strict=False))


def _texts() -> Iterator[str]:
    """Kinds in turn, so that a few are of several kinds."""
    for turn in zip(*_KINDS, strict=True):
        yield from turn


_SUMS = (
    "What is 23 + 48 - 17 + 5?",
    "What is 812 - 34 + 9 - 100 + 61?",
    "A shop sells pens at 3 for 2 euros. How much are 21 pens? Think step by step.",
    "What is 17 * 24? Show how you get there.",
    "Tom has 15 apples, gives away a third, then buys 8 and eats 2. How many are left? Think step by step.",
    "What is 7 + 7 + 7 - 3 + 44 - 9 + 12?",
)
_FACTS = (
    "Who was Richard Feynman, and what is he known for?",
    "Why is the sky blue? Answer in three sentences.",
    "What happened in 1969?",
    "Name the largest city of each of five countries in South America, with one thing worth seeing in each.",
    "How does a refrigerator work?",
    "Which is heavier, a litre of water or a litre of ice, and why?",
)
_PROSE = (
    "Tell a story about a lighthouse keeper and a broken clock.",
    "Write a letter to a friend who has never seen snow. Mention the weather, a debt and a song.",
    "Describe an old map found in an attic.",
    "Write a poem of eight lines about rain in a city.",
    "Explain a rainbow to a child, then to a physicist, and say what both got wrong.",
    "Two brothers disagree about a dog. Write their conversation.",
)
_CODE = (
    "Write a Python function that tells whether a string is a palindrome, with three tests.",
    "What does `SELECT COUNT(*) FROM t WHERE x IS NULL` do? Give an example.",
    "List ten ideas for a weekend without a phone, the most surprising first.",
    "Sort these by year and say why: printing press, steam engine, telephone, aeroplane, transistor.",
    "Give me a JSON object with the name, population and area in square kilometres of three rivers' capitals.",
    "Compare tea and coffee in a table with four rows.",
)
_KINDS = (_SUMS, _FACTS, _PROSE, _CODE)
BUILT_IN = sum(map(len, _KINDS))
