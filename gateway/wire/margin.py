"""How close an answer was to being another one: the smallest gap between the best two tokens' logprobs.

Only an answer that tells two or more log-probabilities of every token has a margin: where one token's are
missing, the smallest gap may be there.
"""

from collections.abc import Iterable, Sequence
from typing import Any


def chat_margin(logprobs: object) -> float | None:
    """The margin of a chat choice's `logprobs`: `content` and `refusal` are lists of tokens."""
    if not isinstance(logprobs, dict):
        return None
    return token_margin([*_list(logprobs.get("content")), *_list(logprobs.get("refusal"))])


def text_margin(logprobs: object) -> float | None:
    """The margin of a completion choice's `logprobs`: `top_logprobs` has an object of tokens for each token."""
    if not isinstance(logprobs, dict):
        return None
    best = _list(logprobs.get("top_logprobs"))
    return _smallest(list(each.values()) if isinstance(each, dict) else [] for each in best)


def token_margin(tokens: Sequence[object]) -> float | None:
    """The margin of tokens that each have a list `top_logprobs`."""
    return _smallest(
        [best.get("logprob") if isinstance(best, dict) else None for best in _list(_get(token))]
        for token in tokens
    )


def _smallest(alternatives: Iterable[Sequence[object]]) -> float | None:
    gaps = []
    for values in alternatives:
        found = sorted(float(value) for value in values if isinstance(value, int | float))
        if len(found) < 2:
            return None
        gaps.append(found[-1] - found[-2])
    return min(gaps, default=None)


def _get(token: object) -> object:
    return token.get("top_logprobs") if isinstance(token, dict) else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
