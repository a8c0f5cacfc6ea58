"""Left-padded rows over one key-value cache.

Every row ends at the same column, so a step appends one column to all. What a row's neighbours change is its
padding: where its keys lie, how wide the attention is, how many rows a kernel sees. In bfloat16 that is enough
to move the last bit of a logit, which is the nondeterminism this backend exists to show.

The layout is rebuilt only when rows come or go; memory is bounded by rows x longest row, twice over while
rebuilding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import starmap

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

# Columns of room added at a time, so that most steps append in place.
_SPARE_COLUMNS = 64


class PaddedLayer(DynamicLayer):
    """Keys and values of one layer, [rows, heads, columns, head size], in buffers with spare columns."""

    def __init__(self) -> None:
        super().__init__()
        self.key_buffer = self.value_buffer = torch.empty(0)

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Append columns in place; returns all columns so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.key_buffer, self.value_buffer = key_states[:, :, :0], value_states[:, :, :0]
        start = self.get_seq_length()
        end = start + key_states.shape[2]
        if end > self.key_buffer.shape[2]:
            self.key_buffer = _widened(self.key_buffer, start, end)
            self.value_buffer = _widened(self.value_buffer, start, end)
        self.key_buffer[:, :, start:end] = key_states
        self.value_buffer[:, :, start:end] = value_states
        self.keys, self.values = self.key_buffer[:, :, :end], self.value_buffer[:, :, :end]
        return self.keys, self.values


class PaddedCache(Cache):
    """One `PaddedLayer` per layer of the model, made as the first forward pass meets them."""

    def __init__(self, layers: list[PaddedLayer] | None = None) -> None:
        if layers is None:
            super().__init__(layer_class_to_replicate=PaddedLayer)
        else:
            super().__init__(layers=[*layers])


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that are computed together.

    Attributes:
        mask: [rows, columns] on the model's device, False where a row is padding; the last column is never.
        cache: keys and values of those columns.
    """

    mask: Tensor
    cache: PaddedCache

    @property
    def columns(self) -> int:
        """How wide the batch is: the length of its longest row once `joined`."""
        return self.mask.shape[1]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows `indices` of a batch, the longest of which has `columns` columns."""

    batch: Batch
    indices: Sequence[int]
    columns: int


def joined(parts: Sequence[Rows]) -> Batch | None:
    """One batch of all `parts`' rows in order, as narrow as its longest row allows; None without rows."""
    parts = [part for part in parts if part.indices]
    if not parts:
        return None
    if len(parts) == 1 and _is_whole(parts[0]):
        return parts[0].batch
    columns = max(part.columns for part in parts)
    picks = [torch.tensor(part.indices, device=part.batch.mask.device) for part in parts]
    mask = torch.cat(
        [
            _left_padded(part.batch.mask[pick, -part.columns :], columns, dim=1)
            for part, pick in zip(parts, picks, strict=True)
        ]
    )
    per_layer = zip(*(part.batch.cache.layers for part in parts), strict=True)
    return Batch(mask, PaddedCache([_joined_layer(layers, parts, picks, columns) for layers in per_layer]))


def padded(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Tokens and mask of left-padded `prompts`, both [prompts, longest]; padding is token 0."""
    columns = max(map(len, prompts))
    tokens = torch.tensor([[0] * (columns - len(p)) + list(p) for p in prompts], device=device)
    mask = torch.tensor([[False] * (columns - len(p)) + [True] * len(p) for p in prompts], device=device)
    return tokens, mask


def _is_whole(part: Rows) -> bool:
    rows, columns = part.batch.mask.shape
    return list(part.indices) == list(range(rows)) and part.columns == columns


def _joined_layer(
    layers: Sequence[PaddedLayer], parts: Sequence[Rows], picks: Sequence[Tensor], columns: int
) -> PaddedLayer:
    def gathered(tensor: Tensor, part: Rows, pick: Tensor) -> Tensor:
        return _left_padded(tensor[pick, :, -part.columns :], columns, dim=2)

    sources = list(zip(layers, parts, picks, strict=True))
    layer = PaddedLayer()
    layer.update(
        torch.cat(list(starmap(gathered, [(of.keys, part, pick) for of, part, pick in sources]))),
        torch.cat(list(starmap(gathered, [(of.values, part, pick) for of, part, pick in sources]))),
    )
    return layer


def _left_padded(tensor: Tensor, columns: int, dim: int) -> Tensor:
    """`tensor` with zeros before its columns: masked, but a NaN there would still spread."""
    missing = columns - tensor.shape[dim]
    if not missing:
        return tensor
    shape = [*tensor.shape]
    shape[dim] = missing
    return torch.cat([tensor.new_zeros(shape), tensor], dim=dim)


def _widened(buffer: Tensor, used: int, needed: int) -> Tensor:
    rows, heads, _, size = buffer.shape
    wider = buffer.new_empty(rows, heads, needed + _SPARE_COLUMNS, size)
    wider[:, :, :used] = buffer[:, :, :used]
    return wider
