"""One text computed among strangers, in as many ways as a scheduler could; needs PyTorch and nothing else."""

import random
from collections.abc import Iterator, Sequence

import torch

from backend.torch.attention import Piece, Runner
from backend.torch.invariant import BLOCK
from backend.torch.model import Model
from backend.torch.pool import Pool

# A second block of keys begins in the middle of the prompt, a third in that of the answer.
LENGTH, PROMPT = 2 * BLOCK + 6, 2 * BLOCK - 6


def pool_for(model: Model, rows: int = 6) -> Pool:
    """Memory for so many texts."""
    weights = next(iter(model.network.parameters()))
    return Pool(model.need.shape, rows * LENGTH, rows, LENGTH, like=weights)


def text(dice: random.Random) -> list[int]:
    """Tokens of no meaning."""
    return dice.choices(range(30, 200), k=LENGTH)


def cut(tokens: Sequence[int], row: int, longest: int, dice: random.Random) -> Iterator[Piece]:
    """A prompt in slices of random lengths, then an answer token by token."""
    start = 0
    while start < len(tokens):
        size = min(dice.randint(1, longest), PROMPT - start) if start < PROMPT else 1
        yield Piece(row, start, tokens[start : start + size], is_prompt=start < PROMPT)
        start += size


def answer_logits(runner: Runner, pool: Pool, tokens: Sequence[int], dice: random.Random) -> torch.Tensor:
    """Logits of the prompt's last token and of the answer's, among strangers that come, go and stand anywhere."""
    rows = [pool.take(LENGTH) for _ in range(dice.randint(1, pool.padding_row))]
    strangers = [cut(text(dice), row, dice.choice([1, 5, 20]), dice) for row in rows[1:]]
    found = []
    for piece in cut(tokens, rows[0], dice.choice([20, 40, LENGTH]), dice):
        mates = [one for stranger in strangers if dice.random() < 0.7 and (one := next(stranger, None))]
        pieces = [*mates, piece]
        dice.shuffle(pieces)
        logits = runner.run(pieces)
        if piece.end >= PROMPT:
            found.append(logits[pieces.index(piece)])
    for row in rows:
        pool.release(row, LENGTH)
    return torch.stack(found)


def rounds_that_differ(runner: Runner, pool: Pool, rounds: int = 3) -> int:
    """Rounds whose logits are not bitwise those of the first."""
    tokens = text(random.Random(0))
    first, *others = (answer_logits(runner, pool, tokens, random.Random(seed)) for seed in range(1 + rounds))
    return sum(not torch.equal(first, other) for other in others)
