"""Rows of conversations, packed: a step's rows depend on the seed and the step alone."""

from random import Random

import numpy as np
from numpy.typing import NDArray

from backend.train.problems import draw_problem, draw_question
from backend.train.tokens import ASSISTANT, END, USER, byte_tokens

LENGTH = 512  # tokens of a row
_MOST_TURNS = 3
_HISTORY = 0.15  # share of conversations with more than one turn

Rows = NDArray[np.int16]
Said = NDArray[np.bool_]


def make_rows(seed: int, step: int, rows: int) -> tuple[Rows, Said]:
    """Tokens [rows, LENGTH + 1], and which of them the model is to learn to say: answers and their ends."""
    random = Random(f"{seed} {step}")  # noqa: S311  problems, no secrets
    tokens = np.zeros((rows, LENGTH + 1), np.int16)
    said = np.zeros((rows, LENGTH + 1), np.bool_)
    for row in range(rows):
        _fill(random, tokens[row], said[row])
    return tokens, said


def _fill(random: Random, tokens: Rows, said: Said) -> None:
    at = 0
    while at < len(tokens):
        turns = random.randint(2, _MOST_TURNS) if random.random() < _HISTORY else 1
        for _ in range(turns):
            asked, answered = draw_question(random, draw_problem(random))
            question = [USER, *byte_tokens(asked), ASSISTANT]
            answer = [*byte_tokens(answered), END]
            at = _put(tokens, said, at, question, is_said=False)
            at = _put(tokens, said, at, answer, is_said=True)


def _put(tokens: Rows, said: Said, at: int, new: list[int], *, is_said: bool) -> int:
    room = new[: max(len(tokens) - at, 0)]
    tokens[at : at + len(room)] = room
    said[at : at + len(room)] = is_said
    return at + len(new)
