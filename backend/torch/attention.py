"""The seam to transformers: its models compute attention by whatever is registered under a name.

All tokens of a forward pass, whoever they belong to, go through the network as one sequence, [1, tokens]. Only
attention must know who is who: a `Layout` made for the pass tells it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from backend.errors import UsageError

NAME = "backend_pool"
# What a model may pass to its attention that would change the result, and that is not implemented here.
_UNSUPPORTED = ("softcap", "s_aux", "position_bias")


@dataclass(frozen=True, slots=True)
class Piece:
    """Successive tokens of one row that are to be computed now.

    Attributes:
        row: of the pool.
        start: position of the first token; all before it were computed.
        is_prompt: tokens of a prompt, else the newest of an answer.
    """

    row: int
    start: int
    tokens: Sequence[int]
    is_prompt: bool

    @property
    def end(self) -> int:
        """How long the row is once this was computed."""
        return self.start + len(self.tokens)


class Runner(Protocol):
    """A way of computing pieces."""

    def run(self, pieces: Sequence[Piece]) -> Tensor:
        """Logits of the last token of each piece, [pieces, vocabulary] float32."""


@dataclass(frozen=True, slots=True)
class Heads:
    """What a layer asks: `scaling` of the scores, and the `window` of positions that it looks back, if any."""

    layer: int
    scaling: float
    window: int | None


class Layout(Protocol):
    """Whose tokens the ones in a forward pass are."""

    def attend(self, heads: Heads, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Store keys and values and let every token attend to its own row.

        Args:
            heads: the layer.
            query: [tokens, heads, size].
            key: [tokens, key heads, size], key heads a divisor of heads.
            value: the same.

        Returns:
            [tokens, heads, size].
        """


class Forward(Protocol):
    """A model as a runner sees it."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def forward(self, tokens: Tensor, positions: Tensor, layout: Layout, keep: Tensor) -> Tensor:
        """Logits of the tokens at `keep`, [kept, vocabulary] float32."""


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *_: object, **options: Any
) -> tuple[Tensor, None]:
    """Transformers' attention interface: [1, heads, tokens, size] in, [1, tokens, heads, size] out."""
    strange = [name for name in _UNSUPPORTED if options.get(name) is not None]
    if strange:
        raise UsageError(f"attention with {', '.join(strange)} is not supported")
    scaling = options.get("scaling") or query.shape[-1] ** -0.5
    layer: Any = module.layer_idx
    heads = Heads(layer, scaling, options.get("sliding_window"))
    layout: Layout = options["layout"]
    flat = [part[0].transpose(0, 1) for part in (query, key, value)]
    return layout.attend(heads, *flat).unsqueeze(0), None


def install(network: Any) -> None:
    """Have `network` attend through the `layout` given to its forward pass."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attention)
    network.set_attn_implementation(NAME)
