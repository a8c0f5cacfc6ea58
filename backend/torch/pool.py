"""Keys and values of everything under way, in one allocation made at the start.

A request gets a row, and a place for every token that it may come to have, before its first token is computed:
so nothing that was begun ever runs out of memory, and nothing is ever moved. Its places lie anywhere; a table
maps positions to them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What one token takes: a key and a value, [heads, size] each, in every layer."""

    layers: int
    heads: int
    size: int

    def token_bytes(self, dtype: torch.dtype) -> int:
        """Bytes of one token in all layers."""
        return 2 * self.layers * self.heads * self.size * dtype.itemsize


class Pool:
    """`num_places` tokens of at most `num_rows` requests, each at most `max_len` long.

    Place 0 and the row `padding_row` belong to nobody: padding is read from and written to them.

    Attributes:
        memory: [layers, key and value, 1 + places, heads, size].
        table: [rows + 1, max_len], the place of each position of a row; 0 where it has none.
    """

    def __init__(
        self, shape: CacheShape, num_places: int, num_rows: int, max_len: int, *, like: Tensor
    ) -> None:
        size = (shape.layers, 2, 1 + num_places, shape.heads, shape.size)
        self.memory = like.new_zeros(size, requires_grad=False)
        self.table = torch.zeros(num_rows + 1, max_len, dtype=torch.int64, device=like.device)
        self.padding_row = num_rows
        self._num_places = num_places
        self._free = list(range(num_places, 0, -1))
        self._free_rows = list(range(num_rows - 1, -1, -1))
        self._held: dict[int, list[int]] = {}

    @property
    def num_places(self) -> int:
        """Tokens that fit."""
        return self._num_places

    @property
    def usage(self) -> float:
        """The share of places that are taken, 0 to 1."""
        return 1 - len(self._free) / self._num_places

    def has_room(self, num_tokens: int) -> bool:
        """Whether a row and so many places are free."""
        return bool(self._free_rows) and len(self._free) >= num_tokens

    def take(self, num_tokens: int) -> int:
        """A free row with places for `num_tokens`; `has_room` must hold."""
        row = self._free_rows.pop()
        places = [self._free.pop() for _ in range(num_tokens)]
        self._held[row] = places
        self.table[row, :num_tokens] = torch.tensor(places, device=self.table.device)
        return row

    def release(self, row: int, num_used: int) -> None:
        """Give a row back, of whose places the first `num_used` were written."""
        places = self._held.pop(row)
        # Masked keys count nothing, but a NaN among them would: what is free is always 0.
        self.memory.index_fill_(2, self.table[row, :num_used], 0)
        self.table[row] = 0
        self._free += reversed(places)
        self._free_rows.append(row)

    def write(self, layer: int, places: Tensor, key: Tensor, value: Tensor) -> None:
        """Store keys and values, [tokens, heads, size] each, at `places`, [tokens]."""
        self.memory[layer, 0].index_copy_(0, places, key)
        self.memory[layer, 1].index_copy_(0, places, value)

    def copy(self, source: int, target: int, num_tokens: int) -> None:
        """Give a row what another has of its first tokens."""
        places = self.table[source, :num_tokens], self.table[target, :num_tokens]
        for layer in self.memory:  # one at a time: no more of it is held twice
            layer.index_copy_(1, places[1], layer.index_select(1, places[0]))

    def read(self, layer: int, places: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values at `places`, [rows, columns]: [rows, columns, heads, size] each."""
        flat = places.flatten()
        key, value = (self.memory[layer, part].index_select(0, flat) for part in (0, 1))
        return key.unflatten(0, places.shape), value.unflatten(0, places.shape)
