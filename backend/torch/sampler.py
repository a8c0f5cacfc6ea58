"""From logits to tokens: grammar, temperature, min-p, top-k, top-p, and one random generator per request.

A row's draw comes from its own generator only and no sum depends on the number of rows, so it never depends on
who else is in the batch. Drawing is by
the exponential race (argmax of p/E with E ~ Exp(1) takes token i with probability p_i), as in vLLM's
`v1/sample/ops/topk_topp_sampler.py`: a whole batch needs one argmax and no synchronisation per row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.torch.grammar import Grammar

# Below this the engines decode greedily; dividing by it would overflow float32 anyway.
_GREEDY_BELOW = 1e-5
# Probabilities are added as integers, multiples of 2**-40: such sums are exact in whatever order they are taken.
_UNIT = 2.0**40


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one answer is drawn, and when it ends.

    Attributes:
        top_k: 0 keeps all tokens.
        top_p: mass kept, the token that crosses it included.
        min_p: least probability kept, as a share of the likeliest token's.
        seed: of the request's own generator; None: unpredictable.
        max_tokens: of the answer.
        stop: texts that end the answer and are not part of it.
        stop_token_ids: tokens that do.
        ignore_eos: go on past the model's own end of answer.
        logprobs: alternatives reported with each token; None: no logprobs at all.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is taken."""
        return self.temperature < _GREEDY_BELOW


@dataclass(frozen=True, slots=True)
class Logprob:
    """A token's natural-log probability before temperature, with the likeliest alternatives beside it."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Draw:
    """One row's next token."""

    token: int
    logprob: Logprob | None = None


@dataclass(frozen=True, slots=True)
class Sampled:
    """One row to sample: what was asked, where its randomness comes from, and what form it must have."""

    params: SamplingParams
    generator: torch.Generator
    grammar: Grammar | None = None


def new_generator(seed: int | None, device: torch.device) -> torch.Generator:
    """A generator for one request; without a seed, one from the operating system."""
    generator = torch.Generator(device)
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator


@torch.inference_mode()
def sample(logits: Tensor, rows: Sequence[Sampled]) -> list[Draw]:
    """Draw a token for each row of `logits`, [rows, vocabulary] float32."""
    allowed = _restricted(logits, rows)
    tokens = allowed.argmax(dim=-1)
    drawn = [index for index, row in enumerate(rows) if not row.params.is_greedy]
    if drawn:
        tokens[drawn] = _race(allowed[drawn], [rows[index] for index in drawn])
    chosen: list[int] = tokens.tolist()
    logprobs = _logprobs(logits, chosen, rows)
    return [Draw(token, logprobs.get(index)) for index, token in enumerate(chosen)]


def _restricted(logits: Tensor, rows: Sequence[Sampled]) -> Tensor:
    """`logits` as the rows' grammars leave them."""
    if all(row.grammar is None for row in rows):
        return logits
    parts = [
        one if row.grammar is None else row.grammar.restrict(one)
        for one, row in zip(logits, rows, strict=True)
    ]
    return torch.stack(parts)


def distribution(logits: Tensor, params: Sequence[SamplingParams]) -> Tensor:
    """Probabilities after temperature, min-p, top-k and top-p, [rows, vocabulary]."""

    def column(values: list[float], dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.tensor(values, device=logits.device, dtype=dtype).unsqueeze(1)

    logits = logits / column([p.temperature for p in params])
    if any(p.min_p for p in params):
        # At 0 the bound is -inf, and nothing lies below.
        bound = logits.amax(dim=-1, keepdim=True) + column([p.min_p for p in params]).log()
        logits = logits.masked_fill(logits < bound, float("-inf"))
    if any(p.top_k or p.top_p < 1 for p in params):
        top_k = column([p.top_k or logits.shape[-1] for p in params])
        # At top_p 1 a rounded sum must not cost the last tokens their chance.
        top_p = column([p.top_p * _UNIT if p.top_p < 1 else 2 * _UNIT for p in params], torch.int64)
        logits = logits.masked_fill(~_kept(logits, top_k, top_p), float("-inf"))
    # Always over the vocabulary in its own order: sorted for a neighbour's sake, the sum would have other bits.
    return logits.softmax(dim=-1)


def _kept(logits: Tensor, top_k: Tensor, top_p: Tensor) -> Tensor:
    """Which tokens top-k and, of those, top-p keep, [rows, vocabulary]; `top_p` in units, [rows, 1] as `top_k`."""
    ordered, order = logits.sort(dim=-1, descending=True, stable=True)
    within = torch.arange(logits.shape[-1], device=logits.device) < top_k
    mass = (ordered.masked_fill(~within, float("-inf")).softmax(dim=-1) * _UNIT).long()
    before = mass.cumsum(dim=-1) - mass
    kept = within & (before < top_p)
    return torch.empty_like(kept).scatter_(-1, order, kept)


def _race(logits: Tensor, rows: Sequence[Sampled]) -> Tensor:
    """The winners, [rows]: each row's clocks come from its own generator."""
    clocks = torch.stack([torch.empty_like(logits[0]).exponential_(generator=row.generator) for row in rows])
    # Half of float32's finest step: a clock rounded to 0 would let the unlikeliest token win.
    clocks.clamp_(min=2**-25)
    return (distribution(logits, [row.params for row in rows]) / clocks).argmax(dim=-1)


def _logprobs(logits: Tensor, tokens: Sequence[int], rows: Sequence[Sampled]) -> dict[int, Logprob]:
    """By row, for the rows that asked; of the model's distribution, whatever was drawn from."""
    wanted = [index for index, row in enumerate(rows) if row.params.logprobs is not None]
    if not wanted:
        return {}
    logprobs = logits[wanted].log_softmax(dim=-1)
    most = max(rows[index].params.logprobs or 0 for index in wanted)
    values, ids = (part.tolist() for part in logprobs.topk(min(most, logits.shape[-1]), dim=-1))
    found = {}
    for at, index in enumerate(wanted):
        top = list(zip(ids[at], values[at], strict=True))[: rows[index].params.logprobs]
        found[index] = Logprob(tokens[index], float(logprobs[at, tokens[index]]), tuple(top))
    return found
