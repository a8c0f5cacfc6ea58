"""The plain way: rows side by side, padded on the left to the longest, as transformers' `generate` has them.

What a row's neighbours change is its padding: where its keys lie, how wide the attention is, how many rows a
kernel sees. In bfloat16 that is enough to move the last bit of a logit, which is the nondeterminism that this
backend exists to show.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from backend.torch.attention import Forward, Heads, Piece
from backend.torch.pool import Pool

# Rows x columns whose keys are gathered at once: the bound of what a step takes beside the pool.
AREA = {"cpu": 2**14, "cuda": 2**16}


@dataclass(slots=True)
class _Group:
    """Pieces that attend in one call.

    Attributes:
        queries: [rows, longest piece], which token of the pass each is; padding repeats the first.
        query_positions: the same shape.
        sources: which of these, rows and columns counted through, are no padding.
        targets: which tokens of the pass those are.
        key_positions: [rows, longest row], negative where it is padding.
        places: the same shape, of the pool.
    """

    queries: Tensor
    query_positions: Tensor
    sources: Tensor
    targets: Tensor
    key_positions: Tensor
    places: Tensor
    masks: dict[int | None, Tensor] = field(default_factory=dict)

    def mask(self, window: int | None) -> Tensor:
        """Which keys each query sees, [rows, 1, longest piece, longest row]."""
        if window not in self.masks:
            key, query = self.key_positions[:, None, :], self.query_positions[:, :, None]
            seen = (key >= 0) & (key <= query)
            self.masks[window] = (seen if window is None else seen & (key > query - window))[:, None]
        return self.masks[window]


@dataclass(frozen=True, slots=True)
class _Padded:
    """The layout of one pass: `written` are the places of its tokens."""

    pool: Pool
    written: Tensor
    groups: Sequence[_Group]

    def attend(self, heads: Heads, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        self.pool.write(heads.layer, self.written, key, value)
        result = torch.empty_like(query)
        for group in self.groups:
            found = self._attended(heads, group, query[group.queries]).flatten(0, 1)
            result.index_copy_(0, group.targets, found.index_select(0, group.sources))
        return result

    def _attended(self, heads: Heads, group: _Group, query: Tensor) -> Tensor:
        parts = self.pool.read(heads.layer, group.places)
        shared = query.shape[2] // parts[0].shape[2]
        key, value = (part.transpose(1, 2).repeat_interleave(shared, dim=1) for part in parts)
        mask = group.mask(heads.window)
        found = scaled_dot_product_attention(
            query.transpose(1, 2), key, value, attn_mask=mask, scale=heads.scaling
        )
        return found.transpose(1, 2)


class PaddedRunner:
    """Computes all pieces in one forward pass, in padded groups."""

    def __init__(self, model: Forward, pool: Pool) -> None:
        self._model = model
        self._pool = pool
        self._area = AREA[model.device.type]

    def run(self, pieces: Sequence[Piece]) -> Tensor:
        """Logits of the last token of each piece, [pieces, vocabulary] float32."""
        device = self._model.device
        tokens = torch.tensor([token for piece in pieces for token in piece.tokens], device=device)
        positions = torch.tensor(
            [at for piece in pieces for at in range(piece.start, piece.end)], device=device
        )
        rows = torch.tensor([piece.row for piece in pieces for _ in piece.tokens], device=device)
        ends = list(accumulate(len(piece.tokens) for piece in pieces))
        firsts = [end - len(piece.tokens) for end, piece in zip(ends, pieces, strict=True)]
        groups = [
            self._group([pieces[at] for at in group], [firsts[at] for at in group])
            for group in self._split(pieces)
        ]
        layout = _Padded(self._pool, self._pool.table[rows, positions], groups)
        keep = torch.tensor(ends, device=device) - 1
        return self._model.forward(tokens, positions, layout, keep)

    def _split(self, pieces: Sequence[Piece]) -> Iterator[list[int]]:
        """Indices of pieces that go together: answers or prompts, no wider in all than the area."""
        for is_prompt in (False, True):
            group: list[int] = []
            longest = 0
            for at in (at for at, piece in enumerate(pieces) if piece.is_prompt == is_prompt):
                longest = max(longest, pieces[at].end)
                if group and longest * (len(group) + 1) > self._area:
                    yield group
                    group, longest = [], pieces[at].end
                group.append(at)
            if group:
                yield group

    def _group(self, pieces: Sequence[Piece], firsts: Sequence[int]) -> _Group:
        def column(values: list[int]) -> Tensor:
            return torch.tensor(values, device=self._model.device)[:, None]

        def ending_at(ends: list[int]) -> Tensor:
            """Counts up to each end, all ends in the last column."""
            width = max(ends)
            return torch.arange(width, device=self._model.device) - (width - column(ends))

        steps = ending_at([len(piece.tokens) for piece in pieces])
        key_positions = ending_at([piece.end for piece in pieces])
        rows = column([piece.row for piece in pieces])
        queries = column(list(firsts)) + steps.clamp(min=0)
        sources = (steps >= 0).flatten().nonzero()[:, 0]
        return _Group(
            queries=queries,
            query_positions=column([piece.start for piece in pieces]) + steps.clamp(min=0),
            sources=sources,
            targets=queries.flatten()[sources],
            key_positions=key_positions,
            places=self._pool.table[rows, key_positions.clamp(min=0)].where(key_positions >= 0, 0),
        )
