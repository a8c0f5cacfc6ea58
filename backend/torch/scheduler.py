"""Who computes next. Pure of I/O: a step is a function call, and the caller owns the thread.

Rules:
1. First come, first served; at most `max_batch_size` answers hold cache at a time, the others wait.
2. A step computes one slice of prompts, at most `prefill_tokens` padded tokens, and one token of every running
   answer: a long prompt delays the running ones by a slice, not by its whole length.
3. Rows join when their prompt is done and leave when they finish or are aborted, at every step.
4. Short prompts are computed together, padded; a longer one than the slice goes alone.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.torch.batch import Batch, PaddedCache, Rows, joined, padded
from backend.torch.generation import Generation, Update
from backend.torch.model import Model
from backend.torch.sampler import sample


@dataclass(frozen=True, slots=True)
class Progress:
    """What one step did."""

    updates: tuple[tuple[Generation, Update], ...]
    num_prompt_tokens: int


@dataclass(slots=True)
class _Prefill:
    """Prompts under way: their padded tokens and mask [rows, columns], and how many columns are done."""

    generations: list[Generation]
    tokens: Tensor
    mask: Tensor
    cache: PaddedCache
    done: int = 0


class Scheduler:
    """Continuous batching over one model. One call at a time: between steps only may answers be added or aborted."""

    def __init__(self, model: Model, max_batch_size: int, prefill_tokens: int) -> None:
        self._model = model
        self._max_batch_size = max_batch_size
        self._prefill_tokens = prefill_tokens
        self._waiting: deque[Generation] = deque()
        self._prefill: _Prefill | None = None
        self._running: list[Generation] = []
        self._batch: Batch | None = None

    @property
    def num_waiting(self) -> int:
        """Answers without a slot."""
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        """Answers with one."""
        return len(self._running) + (len(self._prefill.generations) if self._prefill else 0)

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return self.num_waiting + self.num_running > 0

    def add(self, generation: Generation) -> None:
        """Queue an answer."""
        self._waiting.append(generation)

    def clear(self) -> list[Generation]:
        """Drop everything, cache included; returns what was dropped."""
        dropped = [*self._running, *(self._prefill.generations if self._prefill else ()), *self._waiting]
        self._waiting.clear()
        self._running, self._batch, self._prefill = [], None, None
        return dropped

    def step(self) -> Progress:
        """Advance every running answer by a token, and the prompts by a slice."""
        self._drop_aborted()
        self._admit()
        arrived, num_prompt_tokens, first = self._advance_prefill()
        updates = self._decode()
        self._arrange(arrived)
        return Progress((*updates, *first), num_prompt_tokens)

    def _drop_aborted(self) -> None:
        """Free the slots of the aborted; a prompt under way goes on unless all its neighbours left too."""
        self._waiting = deque(g for g in self._waiting if not g.is_finished)
        if self._prefill and all(g.is_finished for g in self._prefill.generations):
            self._prefill = None
        self._arrange(None)

    def _admit(self) -> None:
        """Start on the next prompts, as many as fit in a slice and find a slot."""
        slots = self._max_batch_size - len(self._running)
        if self._prefill or not self._waiting or slots < 1:
            return
        chosen: list[Generation] = []
        longest = 0
        while self._waiting and len(chosen) < slots:
            longest = max(longest, len(self._waiting[0].request.prompt))
            if chosen and longest * (len(chosen) + 1) > self._prefill_tokens:
                break
            chosen.append(self._waiting.popleft())
        tokens, mask = padded([g.request.prompt for g in chosen], self._model.device)
        self._prefill = _Prefill(chosen, tokens, mask, PaddedCache())

    def _advance_prefill(self) -> tuple[_Prefill | None, int, list[tuple[Generation, Update]]]:
        """Compute a slice; returns the prefill if that was its last, tokens counted, and first tokens drawn."""
        prefill = self._prefill
        if prefill is None:
            return None, 0, []
        columns = max(1, self._prefill_tokens // len(prefill.generations))
        end = min(prefill.done + columns, prefill.tokens.shape[1])
        tokens = prefill.tokens[:, prefill.done : end]
        logits = self._model.forward(tokens, prefill.mask[:, :end], prefill.cache)
        prefill.done = end
        if end < prefill.tokens.shape[1]:
            return None, 0, []
        self._prefill = None
        num_tokens = sum(len(g.request.prompt) for g in prefill.generations)
        return prefill, num_tokens, _drawn(prefill.generations, logits)

    def _decode(self) -> list[tuple[Generation, Update]]:
        """One token for every running answer."""
        if self._batch is None:
            return []
        device = self._model.device
        tokens = torch.tensor([[g.last_token] for g in self._running], device=device)
        mask = torch.cat([self._batch.mask, self._batch.mask.new_ones(len(self._running), 1)], dim=1)
        self._batch = Batch(mask, self._batch.cache)
        return _drawn(self._running, self._model.forward(tokens, mask, self._batch.cache))

    def _arrange(self, arrived: _Prefill | None) -> None:
        """Let the finished go and the arrived in; the cache moves only if there are any."""
        groups = [(self._running, self._batch)]
        if arrived is not None:
            groups.append((arrived.generations, Batch(arrived.mask, arrived.cache)))
        self._batch = joined([_staying(rows, batch) for rows, batch in groups if batch is not None])
        self._running = [g for rows, _ in groups for g in rows if not g.is_finished]


def _staying(generations: Sequence[Generation], batch: Batch) -> Rows:
    indices = [index for index, g in enumerate(generations) if not g.is_finished]
    columns = max((generations[index].num_cached for index in indices), default=0)
    return Rows(batch, indices, columns)


def _drawn(generations: Sequence[Generation], logits: Tensor) -> list[tuple[Generation, Update]]:
    """Sample a token for each; the aborted among them take none."""
    draws = sample(logits, [g.sampled for g in generations])
    return [(g, g.advance(draw)) for g, draw in zip(generations, draws, strict=True) if not g.is_finished]
