"""Asks a server what a probe wants to know (core/probe), over the seam to the network."""

import asyncio
import json
from dataclasses import dataclass
from secrets import token_hex

import msgspec

from gateway.core.ballot import exact_text
from gateway.core.probe import Heard, ProbePlan, ProbeResult, Shot, judge, waves
from gateway.upstream.client import Call, Client, Headers, UpstreamFailure, field, read_all
from gateway.upstream.engines import dialect, sample_members
from gateway.upstream.slots import Slots
from gateway.wire.answers import read_sample
from gateway.wire.body import parse_body
from gateway.wire.forms.completions import CHAT, COMPLETIONS
from gateway.wire.forms.form import Form
from gateway.wire.replies import UnreadableAnswer

_BOUND = 8 << 20
_SEED = 1
_PLAN = ProbePlan()
_TRIAL = Shot("Say something.", 1)
_DETAIL = 300  # characters of what a server says to a request that it does not like


@dataclass(frozen=True, slots=True)
class Target:
    """The server to probe. `headers` are whole, its key included; `slots` bound what is asked of it at once."""

    client: Client
    url: str  # without /v1
    model: str
    engine: str
    slots: Slots
    headers: Headers = ()
    patience: float = 120.0  # seconds for one answer, and as many in line for a slot


@dataclass(frozen=True, slots=True)
class _Way:
    """How the server is spoken to."""

    form: Form
    logprobs: bool


@dataclass(frozen=True, slots=True)
class _Said:
    text: str
    logprobs: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class _Nothing:
    detail: str
    is_refused: bool = False  # a 4xx: another way may do better


async def probe(target: Target, plan: ProbePlan = _PLAN) -> ProbeResult:
    """Ask everything that the plan wants and judge the answers; a failure is a missing answer, not an exception.

    The server is asked in chats if it takes them, else in plain completions, and for logprobs if it gives any:
    they show a dependence on the batch long before a token falls the other way.
    """
    nonce = token_hex(4)  # else a second probe would find the first one's prefixes warm
    way = await _way(target, nonce)
    if isinstance(way, _Nothing):
        return judge(plan, (), way.detail)
    heard: list[Heard] = []
    detail = ""
    for wave in waves(plan):
        for batch in wave.batches:
            salt = f"scg-probe-{nonce}-{wave.salt}"
            answers = await asyncio.gather(*(_ask(target, way, shot, salt) for shot in batch))
            for shot, answer in zip(batch, answers, strict=True):
                if isinstance(answer, _Nothing):
                    detail = answer.detail
                elif shot.needle is not None:
                    heard.append(Heard(wave.name, shot.needle, answer.text, answer.logprobs))
    return judge(plan, heard, detail)


async def _way(target: Target, nonce: str) -> _Way | _Nothing:
    """The first way that the server does not refuse."""
    answer: _Said | _Nothing = _Nothing("")
    for form in (CHAT, COMPLETIONS):
        for logprobs in (True, False) if form.path in dialect(target.engine).logprobs else (False,):
            way = _Way(form, logprobs)
            answer = await _ask(target, way, _TRIAL, f"scg-probe-{nonce}")
            if isinstance(answer, _Said):
                return way
            if not answer.is_refused:
                return answer
    return answer if isinstance(answer, _Nothing) else _Nothing("")


async def _ask(target: Target, way: _Way, shot: Shot, salt: str) -> _Said | _Nothing:
    call = Call("POST", target.url + way.form.path, _headers(target), _body(target, way, shot, salt))
    if not await target.slots.take(target.patience):
        return _Nothing(f"no slot within {target.patience:g} s")
    try:
        async with asyncio.timeout(target.patience):
            exchange = await target.client.send(call)
            try:
                body = await read_all(exchange, _BOUND)
            finally:
                exchange.close()
    except UpstreamFailure as failure:
        return _Nothing(f"{failure.reason}: {failure}")
    except TimeoutError:
        return _Nothing(f"no whole answer within {target.patience:g} s")
    finally:
        target.slots.give()
    if exchange.status != 200:
        told = body[:_DETAIL].decode(errors="replace")
        return _Nothing(f"status {exchange.status}: {told}", is_refused=400 <= exchange.status < 500)
    return _read(body, field(exchange.headers, "content-type"))


def _headers(target: Target) -> Headers:
    # A gateway in between, this one included, is asked for fresh samples.
    own = (
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("cache-control", "no-store"),
    )
    return [*target.headers, *own]


def _body(target: Target, way: _Way, shot: Shot, salt: str) -> bytes:
    messages = [{"role": "user", "content": shot.prompt}]
    asked = {"messages": messages} if way.form is CHAT else {"prompt": shot.prompt}
    plain = {"model": target.model, **asked, "temperature": 0, "max_tokens": shot.tokens}
    body = parse_body(json.dumps(plain).encode())
    added = sample_members(target.engine, way.form.path, seed=_SEED, salt=salt, greedy=True)
    if way.logprobs:
        added |= way.form.margin_members(body)
    return body.forwarded((), added)


class _Token(msgspec.Struct):
    logprob: float | None = None


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None
    token_logprobs: list[float | None] | None = None


class _Choice(msgspec.Struct):
    logprobs: _Logprobs | None = None


class _Scored(msgspec.Struct):
    choices: list[_Choice]


def _read(body: bytes, kind: str) -> _Said | _Nothing:
    try:
        reply = read_sample(body, kind)
        scored = msgspec.json.decode(body, type=_Scored).choices[0].logprobs
    except (UnreadableAnswer, msgspec.MsgspecError, RecursionError) as error:
        return _Nothing(f"no completion: {error}")
    if scored is None:
        return _Said(exact_text(reply), None)
    values = scored.token_logprobs or [token.logprob for token in scored.content or ()]
    return _Said(exact_text(reply), tuple(value for value in values if value is not None) or None)
