"""What one request asks for, read from its header and body, with nothing of the HTTP framework in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any

from gateway.core.key import Question, ask
from gateway.core.plan import Plan
from gateway.core.policy import Policy
from gateway.errors import BadRequest
from gateway.serving.policies import directives, policy_for
from gateway.settings.model import Settings
from gateway.wire.body import Body, parse_body
from gateway.wire.headers import TENANT


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A voted endpoint: its path, and its name in metrics."""

    path: str
    label: str


_ASKS_ANEW = frozenset({"no-cache", "no-store"})

CHAT = Endpoint("/v1/chat/completions", "chat_completions")
COMPLETIONS = Endpoint("/v1/completions", "completions")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request to be voted on."""

    endpoint: Endpoint
    body: Body
    model: str
    policy: Policy
    question: Question
    greedy: bool
    streamed: bool
    include_usage: bool
    max_tokens: int | None
    tenant: str
    cache_control: frozenset[str]
    _keys: dict[str, str] = field(default_factory=dict, compare=False, repr=False)  # by fingerprint

    def key(self, fingerprint: str) -> str:
        """The key of this request before a pool with this fingerprint."""
        known = self._keys.get(fingerprint)
        if known is None:
            self._keys.clear()  # an older fingerprint does not come back
            known = self._keys[fingerprint] = self.question.key(self.tenant, self.policy, fingerprint)
        return known

    @property
    def takes_pins(self) -> bool:
        """Whether it may be answered by what is pinned."""
        return self.policy.cache and not self.cache_control & _ASKS_ANEW

    @property
    def plan(self) -> Plan:
        """The round that answers it."""
        members = self.body.members
        return Plan(
            self.policy,
            self.question.seed,
            self.greedy,
            self.question.digest,
            has_tools=bool(members.get("tools") or members.get("functions"))
            and members.get("tool_choice") != "none",
            wants_json=_wants_json(members.get("response_format")),
        )

    def upstream_body(self, seed: int) -> bytes:
        """The body that a sample sends: as it came, with the seed and, for a stream, its usage asked for."""
        added = {"seed": str(seed)}
        if self.streamed:
            added["stream_options"] = _with_usage(self.body)
        return self.body.forwarded({"consistency"}, added)


@dataclass(frozen=True, slots=True)
class Untouched:
    """A request that goes through unvoted and uncached: more than one run would make no sense."""

    body: Body
    model: str
    reason: str


def read_request(
    settings: Settings, endpoint: Endpoint, raw: bytes, headers: Mapping[str, str], cache_control: str
) -> Wanted | Untouched:
    """Read a request; BadRequest names the member or header that cannot be taken."""
    body = parse_body(raw)
    members = body.members
    model = _member(members, "model", str, "a string") or ""
    policy = policy_for(settings, model, headers, members.get("consistency"))
    seed = _integer(members, "seed")
    temperature = _number(members, "temperature")
    streamed = bool(_member(members, "stream", bool, "true or false"))
    options = _member(members, "stream_options", dict, "an object") or {}
    greedy = temperature == 0
    if reason := _reason_to_pass(members, policy, is_deterministic=greedy or seed is not None):
        return Untouched(body, model, reason)
    return Wanted(
        endpoint=endpoint,
        body=body,
        model=model,
        policy=policy,
        question=ask(endpoint.path, members, seed),
        greedy=greedy,
        streamed=streamed,
        include_usage=bool(options.get("include_usage")),
        max_tokens=_integer(members, "max_completion_tokens") or _integer(members, "max_tokens"),
        tenant=tenant_of(*(headers.get(name, "") for name in TENANT)),
        cache_control=directives(cache_control),
    )


@lru_cache(maxsize=4096)
def tenant_of(*credentials: str) -> str:
    """A digest of who asks; "" for nobody. The credentials themselves are never stored."""
    if not any(credentials):
        return ""
    return sha256("\0".join(credentials).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _reason_to_pass(members: Mapping[str, Any], policy: Policy, *, is_deterministic: bool) -> str | None:
    for name in ("n", "best_of"):
        if (_integer(members, name) or 1) > 1:
            return name
    if members.get("use_beam_search"):
        return "use_beam_search"
    if members.get("audio") or "audio" in (_member(members, "modalities", list, "a list") or ()):
        return "audio"
    prompt = members.get("prompt")
    if isinstance(prompt, list) and not all(isinstance(token, int) for token in prompt):
        return "prompt"
    if policy.when == "deterministic" and not is_deterministic:
        return "when"
    return None


def _wants_json(response_format: object) -> bool:
    return isinstance(response_format, dict) and response_format.get("type") in {"json_object", "json_schema"}


def _member(members: Mapping[str, Any], name: str, kind: type, wanted: str) -> Any:
    value = members.get(name)
    if value is not None and not isinstance(value, kind):
        raise BadRequest(f"{name} must be {wanted}", param=name)
    return value


def _integer(members: Mapping[str, Any], name: str) -> int | None:
    value = _number(members, name)
    if isinstance(value, float):
        if not value.is_integer():
            raise BadRequest(f"{name} must be a whole number", param=name)
        return int(value)
    return value


def _number(members: Mapping[str, Any], name: str) -> float | int | None:
    value = members.get(name)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise BadRequest(f"{name} must be a number", param=name)


def _with_usage(body: Body) -> str:
    """The client's stream options with `include_usage`, spliced like the body itself."""
    text = body.texts.get("stream_options")
    if text is None or not body.members["stream_options"]:
        return '{"include_usage":true}'
    options = parse_body(text.partition(":")[2].strip().encode())
    return options.forwarded((), {"include_usage": "true"}).decode()
