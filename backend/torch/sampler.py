"""From logits to tokens: temperature, top-k, top-p, and one random generator per request.

A row's draw comes from its own generator only, so it never depends on who else is in the batch. Drawing is by
the exponential race (argmax of p/E with E ~ Exp(1) takes token i with probability p_i), as in vLLM's
`v1/sample/ops/topk_topp_sampler.py`: a whole batch needs one argmax and no synchronisation per row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Below this the engines decode greedily; dividing by it would overflow float32 anyway.
_GREEDY_BELOW = 1e-5


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one answer is drawn, and when it ends.

    Attributes:
        top_k: 0 keeps all tokens.
        top_p: mass kept, the token that crosses it included.
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
    """One row to sample: what was asked, and where its randomness comes from."""

    params: SamplingParams
    generator: torch.Generator


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
    tokens = logits.argmax(dim=-1)
    drawn = [index for index, row in enumerate(rows) if not row.params.is_greedy]
    if drawn:
        tokens[drawn] = _race(logits[drawn], [rows[index] for index in drawn])
    chosen: list[int] = tokens.tolist()
    logprobs = _logprobs(logits, chosen, rows)
    return [Draw(token, logprobs.get(index)) for index, token in enumerate(chosen)]


def distribution(logits: Tensor, params: Sequence[SamplingParams]) -> Tensor:
    """Probabilities after temperature, top-k and top-p, [rows, vocabulary]."""

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, device=logits.device).unsqueeze(1)

    logits = logits / column([p.temperature for p in params])
    if all(p.top_k == 0 and p.top_p >= 1 for p in params):
        return logits.softmax(dim=-1)
    vocabulary = logits.shape[-1]
    ordered, order = logits.sort(dim=-1, descending=True, stable=True)
    ranks = torch.arange(vocabulary, device=logits.device)
    ordered = ordered.masked_fill(ranks >= column([p.top_k or vocabulary for p in params]), float("-inf"))
    mass_before = ordered.softmax(dim=-1).cumsum(dim=-1).roll(1, dims=-1)
    mass_before[:, 0] = 0
    # At top_p 1 a rounded sum must not cost the last tokens their chance.
    bounds = column([p.top_p if p.top_p < 1 else float("inf") for p in params])
    ordered = ordered.masked_fill(mass_before >= bounds, float("-inf"))
    return torch.empty_like(ordered).scatter_(-1, order, ordered.softmax(dim=-1))


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
