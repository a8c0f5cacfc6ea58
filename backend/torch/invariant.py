"""The batch-invariant way: a token's logits are bitwise the same whoever else is computed with it.

Two things make a batch visible in a result. Kernels are chosen by the shape of their operands, and another
kernel adds in another order; and a sum over a row's keys is cut into parts whose sizes come from the batch.
So here nothing has a shape that depends on the batch:

* Every forward pass computes a tile of a fixed number of tokens: all prompts' in tiles of one size, all answers'
  in tiles of another, filled up with padding. A token is one row of every matrix product, and no row of one
  enters another's sum.
* Attention takes each token's keys in blocks of a fixed number of positions, from position 0 on, and combines
  them in that order (online softmax, Milakov and Gimelshein 1805.02867). A block that is masked as a whole,
  because a neighbour in the tile is longer, adds exactly nothing: its maximum never rises, its weights are 0.

He and Thinking Machines Lab, "Defeating Nondeterminism in LLM Inference" (2025), describe the problem and a
cure by kernels of one shape; fixing the operands' shape instead needs no kernels of our own.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from backend.errors import UsageError
from backend.torch.attention import Forward, Heads, Piece
from backend.torch.pool import Pool

# Positions of a block of keys.
BLOCK = 64
# Below all scores, and finite: two of them can be subtracted.
_LOWEST = -1e30


@dataclass(frozen=True, slots=True)
class Tiles:
    """Tokens of one forward pass. Larger ones make long prompts and many answers cheaper, a single answer dearer."""

    prompt: int
    answer: int


TILES = {"cpu": Tiles(prompt=16, answer=8), "cuda": Tiles(prompt=256, answer=64)}


# Rotary embeddings whose frequencies follow the longest position in the pass.
_DYNAMIC_ROPE = frozenset({"dynamic", "longrope"})


def check_invariance(name: str, text_config: Any) -> None:
    """Refuse models whose own arithmetic has shapes or values that come from the batch.

    Raises:
        UsageError: experts, of which each computes the tokens routed to it; dynamic rotary embeddings.
    """
    experts = [
        getattr(text_config, member, None)
        for member in ("num_experts", "num_local_experts", "n_routed_experts")
    ]
    if any((number or 0) > 1 for number in experts):
        raise UsageError(
            f"--batch-invariant: --model {name} routes tokens to experts, whose batches cannot be fixed"
        )
    rope = getattr(text_config, "rope_parameters", None) or {}
    kinds = {part.get("rope_type") for part in (rope, *rope.values()) if isinstance(part, dict)}
    if not kinds.isdisjoint(_DYNAMIC_ROPE):
        raise UsageError(
            f"--batch-invariant: --model {name} has rotary embeddings that follow the longest request"
        )


@contextmanager
def batch_invariant() -> Iterator[None]:
    """Until the block ends, however it ends: sums in full precision, whatever PyTorch was told before.

    Low-precision partial sums would make a result depend on how a kernel splits its work.
    """
    matmul = torch.backends.cuda.matmul
    before = (
        matmul.allow_tf32,
        matmul.allow_bf16_reduced_precision_reduction,
        matmul.allow_fp16_reduced_precision_reduction,
    )
    try:
        matmul.allow_tf32 = False
        matmul.allow_bf16_reduced_precision_reduction = False
        matmul.allow_fp16_reduced_precision_reduction = False
        yield
    finally:
        (
            matmul.allow_tf32,
            matmul.allow_bf16_reduced_precision_reduction,
            matmul.allow_fp16_reduced_precision_reduction,
        ) = before


@dataclass(frozen=True, slots=True)
class _Token:
    """One token of a tile; `piece` is the number of the piece that it ends, if it ends one."""

    row: int
    position: int
    token: int
    piece: int | None = None


@dataclass(slots=True)
class _Tile:
    """The layout of one pass.

    Attributes:
        written: [tokens], the places of the tile's tokens.
        places: [tokens, blocks x BLOCK], those of each token's row.
        positions: [tokens].
    """

    pool: Pool
    written: Tensor
    places: Tensor
    positions: Tensor
    masks: dict[tuple[int, int | None], Tensor] = field(default_factory=dict)

    def attend(self, heads: Heads, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        self.pool.write(heads.layer, self.written, key, value)
        tokens, count, size = query.shape
        shared = count // key.shape[1]
        # [tokens x key heads, query heads that share them, size]
        scaled = (query.float() * heads.scaling).reshape(-1, shared, size)
        highest = scaled.new_full((*scaled.shape[:2], 1), _LOWEST)
        total = torch.zeros_like(highest)
        result = torch.zeros_like(scaled)
        for start in range(0, self.places.shape[1], BLOCK):
            keys, values = self._block(heads.layer, start)
            scores = torch.bmm(scaled, keys.transpose(1, 2)).unflatten(0, (tokens, -1))
            scores = scores.masked_fill(self._hidden(start, heads.window), -torch.inf).flatten(0, 1)
            highest, before = torch.maximum(highest, scores.amax(dim=-1, keepdim=True)), highest
            weights, kept = torch.exp(scores - highest), torch.exp(before - highest)
            total = total * kept + weights.sum(dim=-1, keepdim=True)
            result = result * kept + torch.bmm(weights, values)
        return (result / total).reshape(query.shape).to(query.dtype)

    def _block(self, layer: int, start: int) -> list[Tensor]:
        """Keys and values of one block, [tokens x key heads, BLOCK, size] float32 each."""
        parts = self.pool.read(layer, self.places[:, start : start + BLOCK])
        return [
            part.transpose(1, 2).to(torch.float32, memory_format=torch.contiguous_format).flatten(0, 1)
            for part in parts
        ]

    def _hidden(self, start: int, window: int | None) -> Tensor:
        """Which keys of a block each token does not see, [tokens, 1, 1, BLOCK]."""
        if (start, window) not in self.masks:
            key = torch.arange(start, start + BLOCK, device=self.positions.device)
            query = self.positions[:, None]
            hidden = key > query if window is None else (key > query) | (key <= query - window)
            self.masks[start, window] = hidden[:, None, None]
        return self.masks[start, window]


class InvariantRunner:
    """Computes pieces in tiles of fixed shapes."""

    def __init__(self, model: Forward, pool: Pool) -> None:
        self._model = model
        self._pool = pool
        self._tiles = TILES[model.device.type]
        self._padding = _Token(pool.padding_row, 0, 0)

    def run(self, pieces: Sequence[Piece]) -> Tensor:
        """Logits of the last token of each piece, [pieces, vocabulary] float32."""
        found: dict[int, Tensor] = {}
        with batch_invariant():
            for tile in self._cut(pieces):
                ended = [(at, token.piece) for at, token in enumerate(tile) if token.piece is not None]
                logits = self._compute(tile, [at for at, _ in ended])
                found |= {piece: logits[at] for at, (_, piece) in enumerate(ended)}
        return torch.stack([found[at] for at in range(len(pieces))])

    def _cut(self, pieces: Sequence[Piece]) -> Iterator[list[_Token]]:
        """Full tiles, answers' first. None has more ends of pieces than an answer's tile: logits have one shape too."""
        for is_prompt, size in ((False, self._tiles.answer), (True, self._tiles.prompt)):
            tile: list[_Token] = []
            num_ends = 0
            for token in _tokens(pieces, is_prompt=is_prompt):
                tile.append(token)
                num_ends += token.piece is not None
                if len(tile) == size or num_ends == self._tiles.answer:
                    yield self._filled(tile, size)
                    tile, num_ends = [], 0
            if tile:
                yield self._filled(tile, size)

    def _filled(self, tile: list[_Token], size: int) -> list[_Token]:
        return tile + [self._padding] * (size - len(tile))

    def _compute(self, tile: Sequence[_Token], ends: Sequence[int]) -> Tensor:
        """Logits of the tokens at `ends`, and of the first one as often as it takes to fill an answer's tile."""
        numbers = [(one.row, one.position, one.token) for one in tile]
        rows, positions, tokens = torch.tensor(numbers, device=self._model.device).unbind(1)
        blocks = 1 + max(one.position for one in tile) // BLOCK
        columns = torch.arange(blocks * BLOCK, device=rows.device).clamp(max=self._pool.table.shape[1] - 1)
        layout = _Tile(
            self._pool, self._pool.table[rows, positions], self._pool.table[rows[:, None], columns], positions
        )
        keep = [*ends, *[0] * (self._tiles.answer - len(ends))]
        return self._model.forward(tokens, positions, layout, torch.tensor(keep, device=rows.device))


def _tokens(pieces: Sequence[Piece], *, is_prompt: bool) -> Iterator[_Token]:
    """All tokens of one kind."""
    for at, piece in enumerate(pieces):
        if piece.is_prompt == is_prompt:
            *before, last = zip(range(piece.start, piece.end), piece.tokens, strict=True)
            yield from (_Token(piece.row, *one) for one in before)
            yield _Token(piece.row, *last, piece=at)
