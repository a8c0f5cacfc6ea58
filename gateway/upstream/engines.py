"""The dialects of engines: which members of a request each one takes, and how to tell one from another.

Read in the engines' own request models: vLLM 0.32 (`entrypoints/openai/*/protocol.py`, `anthropic/protocol.py`),
SGLang (`srt/entrypoints/openai/protocol.py`, `anthropic/protocol.py`), LMDeploy 0.16 (`serve/openai/protocol.py`,
`responses/protocol.py`, `anthropic/protocol.py`), OpenAI's API reference. A member that is not in a model is
ignored by some engines and refused by others, so it is sent to neither.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"

_NOWHERE: frozenset[str] = frozenset()
_CLASSIC = frozenset({CHAT, COMPLETIONS})
_OPENAI = _CLASSIC | {RESPONSES}
_ALL = _OPENAI | {MESSAGES}


@dataclass(frozen=True, slots=True)
class Dialect:
    """The paths under which an engine takes each member, and what it wants beside a temperature of 0."""

    seed: frozenset[str] = _CLASSIC
    cache_salt: frozenset[str] = _NOWHERE
    top_k: frozenset[str] = _NOWHERE
    return_token_ids: frozenset[str] = _NOWHERE
    logprobs: frozenset[str] = _CLASSIC
    greedy: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


PLAIN = "openai"
DIALECTS: Mapping[str, Dialect] = MappingProxyType({
    "vllm": Dialect(
        seed=_OPENAI, cache_salt=_ALL, top_k=_ALL, return_token_ids=_CLASSIC, logprobs=_OPENAI
    ),
    "sglang": Dialect(cache_salt=_OPENAI, top_k=_ALL, return_token_ids=_CLASSIC, logprobs=_OPENAI),
    # At temperature 0 TurboMind divides logits by 1e-6 and samples on, so that exact ties fall by seed
    # (`sampling_penalty_kernels.cu`), and the default top_k is 40. Its completions never have logprobs.
    "lmdeploy": Dialect(
        seed=_OPENAI,
        top_k=_ALL,
        return_token_ids=_CLASSIC,
        logprobs=frozenset({CHAT}),
        greedy=MappingProxyType({"top_k": "1"}),
    ),
    "torch": Dialect(top_k=_CLASSIC, return_token_ids=_CLASSIC),
    PLAIN: Dialect(),
})  # fmt: skip


def dialect(engine: str) -> Dialect:
    """An engine's dialect; OpenAI's own for one that nobody knows, such as `auto` before it was seen."""
    return DIALECTS.get(engine, DIALECTS[PLAIN])


def sample_members(
    engine: str, path: str, *, seed: int | None = None, salt: str | None = None, greedy: bool = False
) -> dict[str, str]:
    """What a sample adds to the client's body, as JSON texts by member, in place of what is there.

    A seed or a salt is left out where the engine takes none under this path. `greedy` says that the request's
    temperature is 0.
    """
    speaks = dialect(engine)
    added = dict(speaks.greedy) if greedy and path in speaks.top_k else {}
    if seed is not None and path in speaks.seed:
        added["seed"] = str(seed)
    if salt is not None and path in speaks.cache_salt:
        added["cache_salt"] = f'"{salt}"'
    return added


def salt_of(index: int, own: str | None) -> str | None:
    """The salt of a sample: sample 0 keeps the client's own or none, each other index has a fixed one.

    Within vLLM's bounds: at most 128 characters, no slash of either kind, no `@`, no NUL. Clients whose own
    salts differ never share one here either.
    """
    if index == 0:
        return None
    if own is None:
        return f"scg-{index}"
    return f"scg-{sha256(f'{index}:{own}'.encode(errors='surrogatepass')).hexdigest()[:40]}"


_OWNERS: Mapping[str, str] = MappingProxyType({
    "vllm": "vllm",
    "sglang": "sglang",
    "lmdeploy": "lmdeploy",
    "torch": "torch",
    "openai": PLAIN,
    "openai-internal": PLAIN,
    "system": PLAIN,
})  # fmt: skip

# Paths that no other of these engines has, for servers that sign their models with another name.
_ROUTES: tuple[tuple[str, frozenset[str]], ...] = (
    ("lmdeploy", frozenset({"/generate", "/v1/encode"})),
    ("sglang", frozenset({"/generate", "/flush_cache"})),
    ("vllm", frozenset({"/version", "/tokenize", "/detokenize", "/load"})),
)


def named(owners: Collection[str]) -> str | None:
    """The engine that signs its models so (`owned_by` in `/v1/models`); None if that does not tell.

    A router in front of several engines speaks plain OpenAI.
    """
    engines = {_OWNERS[owner] for owner in owners if owner in _OWNERS}
    if len(engines) > 1:
        return PLAIN
    return engines.pop() if engines else None


def routed(paths: Collection[str]) -> str:
    """The engine that has these paths (`/openapi.json`); plain OpenAI if none of those known does."""
    return next((engine for engine, own in _ROUTES if own <= set(paths)), PLAIN)
