"""The limits of one request's key: drawn from while its answer is looked for, and told in the header.

A request counts as one; its tokens are those that it makes the upstreams spend, prompt and completion of all samples
of its vote. So what is pinned, and what joins another's vote, costs none. Before a vote an estimate is reserved; it
is given back when the request ends, and what was spent is drawn when the round does. See
docs/decisions/0019-tokens-are-what-was-spent.md.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from math import ceil
from typing import Any

from gateway.core.rate import Draw, Level, charged, spell_wait
from gateway.door.answer import Answer, field_lines
from gateway.door.request import Reply
from gateway.errors import RateLimited
from gateway.serving.accounts import Accounts
from gateway.settings.model import KeySettings
from gateway.store.protocol import Store
from gateway.telemetry.metrics import Metrics

Fields = list[tuple[str, str]]

_PREFIX = "x-ratelimit-"
# An estimate: four bytes of a body make a token, within bounds, since images are bytes and no such tokens.
_BYTES, _LONGEST_PROMPT = 4, 8192
_USUAL_ANSWER, _LONGEST_ANSWER = 256, 1024


def prompt_tokens(size: int) -> int:
    """About how many tokens a prompt has whose request's body has so many bytes."""
    return min(size // _BYTES, _LONGEST_PROMPT)


def answer_tokens(max_tokens: int | None) -> int:
    """About how many tokens an answer has that may have so many."""
    return _USUAL_ANSWER if max_tokens is None else min(max_tokens, _LONGEST_ANSWER)


class Quota:
    """What is left of a key's minute. Whoever handles the request says how many tokens it reserves."""

    def __init__(self, key: KeySettings, store: Store, accounts: Accounts, metrics: Metrics) -> None:
        self.reserve = 0
        self._key = key
        self._store = store
        self._accounts = accounts
        self._metrics = metrics
        self._drawing: asyncio.Task[list[Level]] | None = None
        self._levels: dict[str, Level] = {}

    async def around(self, coming: Coroutine[Any, Any, Reply]) -> Reply:
        """Draw while the answer is looked for, and give it out only if a request was left."""
        self._drawing = asyncio.create_task(self._store.draw(self._key.name, self._draws()))
        try:
            reply = await coming
            await self.allows_request()
        finally:
            self._drawing.add_done_callback(self._give_back)
        return reply

    async def allows_request(self) -> None:
        """RateLimited if no request is left of this minute."""
        await self._drawn()
        self._refuse("requests")

    async def allows_tokens(self) -> None:
        """The same, and RateLimited too if the tokens that were to be reserved are not left."""
        await self.allows_request()
        self._refuse("tokens")

    def told_with(self, theirs: Iterable[tuple[str, str]]) -> Fields:
        """These fields of an answer and our own: of each kind the tighter of ours and the upstream's."""
        kept = list(theirs)
        for bucket, level in self._levels.items():
            named = {f"{_PREFIX}{word}-{bucket}" for word in ("limit", "remaining", "reset")}
            said = dict(kept).get(f"{_PREFIX}remaining-{bucket}", "")
            if said.isdigit() and int(said) < level.remaining:
                continue
            kept = [pair for pair in kept if pair[0] not in named]
            kept += [
                (f"{_PREFIX}limit-{bucket}", str(level.limit)),
                (f"{_PREFIX}remaining-{bucket}", str(level.remaining)),
                (f"{_PREFIX}reset-{bucket}", spell_wait(level.debt)),
            ]
        return kept

    def tell(self, answer: Answer) -> None:
        """Add that to a whole answer."""
        answer.lines = self.told_in(answer.lines)

    def told_in(self, written: str) -> str:
        """The same with fields that are written already."""
        lines = [f"{line}\r\n" for line in written.split("\r\n")[:-1]]
        theirs = [line for line in lines if line.startswith(_PREFIX)]
        pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in theirs)]
        others = "".join(line for line in lines if line not in theirs) if theirs else written
        return others + field_lines(self.told_with(pairs))

    def _draws(self) -> list[Draw]:
        key, draws = self._key, []
        if key.rpm is not None:
            draws.append(Draw("requests", key.rpm, 1))
        if key.tpm is not None:
            draws.append(Draw("tokens", key.tpm, self.reserve, is_fact=not self.reserve))
        return draws

    async def _drawn(self) -> None:
        assert self._drawing is not None
        if not self._levels:  # a client that leaves must not undo what is drawn: it is given back
            levels = await asyncio.shield(self._drawing)
            self._levels = {drawn.bucket: level for drawn, level in zip(self._draws(), levels, strict=True)}

    def _refuse(self, bucket: str) -> None:
        level = self._levels.get(bucket)
        if level is None or not level.is_refused:
            return
        name = self._key.name
        self._metrics.limited(name, bucket)
        told = f"{name} has used its {level.limit} {bucket} per minute; try again in {spell_wait(level.wait)}"
        waits = (("retry-after", str(ceil(level.wait))), ("retry-after-ms", str(ceil(level.wait * 1000))))
        raise RateLimited(told, headers=waits)

    def _give_back(self, drawing: asyncio.Task[list[Level]]) -> None:
        """The reservation, if there was one: what was spent is drawn apart."""
        if drawing.cancelled() or drawing.exception() or any(level.is_refused for level in drawing.result()):
            return
        for drawn in self._draws():
            if drawn.bucket == "tokens" and not drawn.is_fact:
                self._accounts.charge(self._key, -charged(drawn))
