"""Who is audited: are they there, which model, which engine, in which form do they take a prompt, is it a gateway?"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from gateway.audit.ask.once import Busy, Nothing, Said, Server, ask_once
from gateway.audit.prompts import as_completion
from gateway.audit.spec import Prompt, Spec
from gateway.calling.post import Unusable, open_place
from gateway.upstream.client import Headers
from gateway.upstream.engines import CHAT, PLAIN
from gateway.upstream.looks import Look, look

_TRIES = 6
_MOST_LISTED = 20


@dataclass(frozen=True, slots=True)
class Target:
    """The servers, one for each URL, of one engine and with one model."""

    servers: tuple[Server, ...]
    model: str
    engine: str


@dataclass(frozen=True, slots=True)
class Tried:
    """What one request showed: the spec, its prompts in the form that the server takes; whether a gateway answers."""

    spec: Spec
    gateway: bool


async def find_target(
    urls: Sequence[str],
    model: str | None,
    headers: Headers,
    patience: float,
    ca_file: str | None,
    stack: AsyncExitStack,
) -> Target:
    """Look at every URL; Unusable if one does not answer, or does not have the model."""
    looks, servers = [], []
    for url in urls:
        place = open_place(url, headers, patience, ca_file, stack)
        found = await look(place.client, url, [pair for pair in headers if pair[0] != "content-type"])
        if not found.reachable:
            raise Unusable(f"{url}: no server answers there")
        looks.append(found)
        servers.append(Server(place, found.engine or PLAIN))
    name = _model(urls, looks, model)
    return Target(tuple(servers), name, servers[0].engine)


def _model(urls: Sequence[str], looks: Sequence[Look], wanted: str | None) -> str:
    known = sorted(set.intersection(*(set(each.models) for each in looks)))
    listed = ", ".join(known[:_MOST_LISTED]) + (", …" if len(known) > _MOST_LISTED else "")
    if wanted is None:
        if len(known) == 1:
            return known[0]
        if known:
            raise Unusable(f"--model is needed: {urls[0]} has {listed}")
        raise Unusable(
            f"--model is needed: {urls[0]} lists no models that every URL has; is a key missing (--api-key-env)?"
        )
    for url, found in zip(urls, looks, strict=True):
        if found.models and wanted not in found.models:
            raise Unusable(
                f"{url} has no model {wanted!r}; known: {', '.join(sorted(found.models)[:_MOST_LISTED])}"
            )
    return wanted


async def try_one(target: Target, spec: Spec, *, may_change: bool) -> Tried:
    """Ask the first prompt for one token of each server; Unusable if one refuses.

    Where chats are refused and `may_change`, plain completions are tried.
    """
    tried = await _try(target, spec)
    is_refused = isinstance(tried, Nothing) and tried.status is not None and tried.status < 500
    if is_refused and may_change and spec.prompts[0].path == CHAT:
        other = replace(spec, prompts=tuple(as_completion(prompt) for prompt in spec.prompts))
        again = await _try(target, other)
        if isinstance(again, Tried):
            return again
    if isinstance(tried, Nothing):
        raise Unusable(tried.detail)
    return tried


async def _try(target: Target, spec: Spec) -> Tried | Nothing:
    short = replace(spec, prompts=(_short(spec.prompts[0]),), max_tokens=1)
    gateway = False
    for server in target.servers:
        said = await _patiently(server, short)
        if isinstance(said, Nothing):
            return Nothing(f"{server.place.url}{spec.prompts[0].path}: {said.detail}", said.status)
        gateway = gateway or bool(said.told)
    return Tried(spec, gateway)


def _short(prompt: Prompt) -> Prompt:
    """Without its own length."""
    own = tuple(pair for pair in prompt.members if pair[0] not in {"max_tokens", "max_completion_tokens"})
    return replace(prompt, members=own)


async def _patiently(server: Server, spec: Spec) -> Said | Nothing:
    for attempt in range(_TRIES):
        said = await ask_once(server, spec, spec.prompts[0])
        if not isinstance(said, Busy):
            return said
        await asyncio.sleep(2**attempt if said.seconds is None else said.seconds)
    return Nothing(f"asked {_TRIES} times: {said.detail}" if isinstance(said, Busy) else "")
