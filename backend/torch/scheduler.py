"""Who computes next. Pure of I/O: a step is a function call, and the caller owns the thread.

Rules:
1. First come, first served: an answer begins when there is a free row and memory for all that it may come to.
   If there is not, it waits, and those behind it too.
2. A step computes the next token of every running answer, and prompts, oldest first, up to `prefill_tokens`: a
   long prompt delays the running answers by a slice, not by its whole length.
3. Of answers to one prompt that are there together, as the samples of a vote are, the first computes it and the
   others get a copy of its keys and values.
4. Answers leave when they finish or are aborted, at every step.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from backend.torch.attention import Piece, Runner
from backend.torch.generation import Generation, Update
from backend.torch.pool import Pool
from backend.torch.sampler import sample


@dataclass(frozen=True, slots=True)
class Progress:
    """What one step did."""

    updates: tuple[tuple[Generation, Update], ...] = ()
    num_prompt_tokens: int = 0
    num_answer_tokens: int = 0


@dataclass(slots=True)
class _Seat:
    """An answer that has begun: its row of the pool, and how many of its tokens are computed."""

    generation: Generation
    row: int
    num_computed: int = 0

    @property
    def is_prompt(self) -> bool:
        """Whether tokens of the prompt are still to be computed."""
        return self.num_computed < len(self.generation.request.prompt)

    def next_piece(self, max_tokens: int) -> Piece:
        """The next tokens, at most `max_tokens`."""
        start = self.num_computed
        tokens = self.generation.request.prompt[start : start + max_tokens] or (self.generation.last_token,)
        return Piece(self.row, start, tokens, self.is_prompt)


# Seats by the prompt that they are still without, in order of arrival.
_Prompts = dict[tuple[int, ...], list[_Seat]]


class Scheduler:
    """Continuous batching. One call at a time: between steps only may answers be added or aborted."""

    def __init__(self, runner: Runner, pool: Pool, prefill_tokens: int) -> None:
        self._runner = runner
        self._pool = pool
        self._prefill_tokens = prefill_tokens
        self._waiting: deque[Generation] = deque()
        self._seats: list[_Seat] = []

    @property
    def num_waiting(self) -> int:
        """Answers that have not begun."""
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        """Answers that have."""
        return len(self._seats)

    @property
    def cache_usage(self) -> float:
        """The share of the memory for keys and values that is taken, 0 to 1."""
        return self._pool.usage

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return self.num_waiting + self.num_running > 0

    def add(self, generation: Generation) -> None:
        """Queue an answer, which must fit into the pool when it is alone."""
        self._waiting.append(generation)

    def drop_running(self) -> list[Generation]:
        """Forget all that have begun, and return them; who waits goes on waiting."""
        dropped = [seat.generation for seat in self._seats]
        self._release(self._seats)
        self._seats = []
        return dropped

    def step(self) -> Progress:
        """Advance every running answer by a token, and the prompts by a slice."""
        self._drop_finished()
        self._admit()
        prompts = self._prompts()
        planned = list(self._plan(prompts))
        if not planned:
            return Progress()
        for seat, piece in planned:
            # Before the step: should it fail half-way, its places count as written.
            seat.num_computed = piece.end
        logits = self._runner.run([piece for _, piece in planned])
        # The last token of a slice in the middle of a prompt has no successor to draw.
        ready = [(seat, at) for at, (seat, _) in enumerate(planned) if not seat.is_prompt]
        ended = [(seat, at) for seat, at in ready if planned[at][1].is_prompt]
        ready += [(copy, at) for seat, at in ended for copy in self._copied(seat, prompts)]
        updates = _drawn([seat.generation for seat, _ in ready], logits[[at for _, at in ready]])
        self._drop_finished()
        prompt, answer = (
            sum(len(piece.tokens) for _, piece in planned if piece.is_prompt == is_prompt)
            for is_prompt in (True, False)
        )
        return Progress(updates, prompt, answer)

    def _admit(self) -> None:
        while self._waiting and self._pool.has_room(self._waiting[0].num_reserved):
            generation = self._waiting.popleft()
            self._seats.append(_Seat(generation, self._pool.take(generation.num_reserved)))

    def _prompts(self) -> _Prompts:
        """The prompts that are not computed yet, oldest first, and whose they are."""
        found: _Prompts = {}
        for seat in self._seats:
            if seat.is_prompt:
                found.setdefault(seat.generation.request.prompt, []).append(seat)
        return found

    def _plan(self, prompts: _Prompts) -> Iterator[tuple[_Seat, Piece]]:
        """Answers, then prompts as far as the slice goes."""
        for seat in self._seats:
            if not seat.is_prompt:
                yield seat, seat.next_piece(1)
        left = self._prefill_tokens
        for seat, *_ in prompts.values():
            if left:
                piece = seat.next_piece(left)
                left -= len(piece.tokens)
                yield seat, piece

    def _copied(self, first: _Seat, prompts: _Prompts) -> list[_Seat]:
        """Who waited for this seat to compute its prompt, and now has it too."""
        copies = [seat for seat in prompts.get(first.generation.request.prompt, ()) if seat.is_prompt]
        for seat in copies:
            seat.num_computed = first.num_computed
            self._pool.copy(first.row, seat.row, first.num_computed)
        return copies

    def _drop_finished(self) -> None:
        self._waiting = deque(one for one in self._waiting if not one.is_finished)
        self._release([seat for seat in self._seats if seat.generation.is_finished])
        self._seats = [seat for seat in self._seats if not seat.generation.is_finished]

    def _release(self, seats: list[_Seat]) -> None:
        for seat in seats:
            self._pool.release(seat.row, seat.num_computed)


def _drawn(generations: list[Generation], logits: Tensor) -> tuple[tuple[Generation, Update], ...]:
    """Sample a token for each."""
    draws = sample(logits, [one.sampled for one in generations])
    return tuple((one, one.advance(draw)) for one, draw in zip(generations, draws, strict=True))
