"""What one request asks for, read from its header and body, with nothing of the HTTP framework in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from gateway.core.key import Question, ask
from gateway.core.plan import Plan
from gateway.core.policy import Policy
from gateway.core.round import Launch
from gateway.errors import BadRequest, NotCached
from gateway.memo import remembered
from gateway.serving.policies import directives, policy_for
from gateway.settings.model import KeySettings, Settings
from gateway.upstream.engines import dialect, salt_of, sample_members
from gateway.wire.body import Body, parse_body
from gateway.wire.forms.form import Asking, Form
from gateway.wire.headers import TENANT

_ASKS_ANEW = frozenset({"no-cache", "no-store"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request to be voted on."""

    endpoint: Form
    body: Body
    model: str
    policy: Policy
    question: Question
    greedy: bool
    streamed: bool
    include_usage: bool
    usage_in_chunks: bool
    max_tokens: int | None
    has_tools: bool
    wants_json: bool
    tenant: str
    cache_control: frozenset[str]
    client: KeySettings | None = None  # its key, where there are some
    asked: int = 0  # the k that it would have, where pressure left it one sample; else 0
    plan: Plan = field(init=False, compare=False, repr=False)  # the round that answers it
    _keys: dict[str, str] = field(default_factory=dict, compare=False, repr=False)  # by fingerprint

    def __post_init__(self) -> None:
        """What follows from the rest."""
        plan = Plan(
            self.policy,
            self.question.seed,
            self.greedy,
            self.question.digest,
            has_tools=self.has_tools,
            wants_json=self.wants_json,
        )
        object.__setattr__(self, "plan", plan)

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
    def replaces(self) -> bool:
        """Whether its verdict is to take the place of what is pinned."""
        return "no-cache" in self.cache_control

    def is_shared(self, key: str) -> bool:
        """Whether it takes part in the cache and in flights at all."""
        return bool(key) and self.policy.cache and "no-store" not in self.cache_control

    @property
    def asks_margin(self) -> bool:
        """Whether log-probabilities are asked for that the client does not want."""
        return self.policy.accept_margin is not None and bool(self.endpoint.margin_members(self.body))

    def upstream_body(self, launch: Launch, engine: str) -> bytes:
        """The body that a sample sends to an engine: as it came, with what is asked for besides."""
        path = self.endpoint.path
        salt = self._salt(launch.index) if self.policy.salt else None
        added = sample_members(engine, path, seed=launch.seed, salt=salt, greedy=self.greedy)
        if self.streamed:
            added |= self.endpoint.stream_members(self.body)
        if self.asks_margin and path in dialect(engine).logprobs:
            added |= self.endpoint.margin_members(self.body)
        return self.body.forwarded({"consistency"}, added)

    def _salt(self, index: int) -> str | None:
        own = self.body.members.get("cache_salt")
        return salt_of(index, own if isinstance(own, str) else None)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what of caches."""

    cache_control: str = ""
    key: KeySettings | None = None

    @property
    def directives(self) -> frozenset[str]:
        """What is heard of `cache_control`: `no-cache`, which replaces a pin, only from those who may."""
        heard = directives(self.cache_control)
        return heard if self.key is None or self.key.replace else heard - {"no-cache"}

    def tenant(self, headers: Mapping[str, str]) -> str:
        """A digest of who asks, and of what else in a header may change the answer."""
        named = () if self.key is None else ("key", self.key.name)
        return tenant_of(*named, *(headers.get(name, "") for name in TENANT))


@dataclass(frozen=True, slots=True)
class Untouched:
    """A request that goes through unvoted and uncached: more than one run would make no sense."""

    body: Body
    model: str
    reason: str


def read_request(
    settings: Settings, endpoint: Form, raw: bytes, headers: Mapping[str, str], caller: Caller
) -> Wanted | Untouched:
    """Read a request; BadRequest names the member or header that cannot be taken.

    NotCached where nothing but a pin is wanted, and there can be none.
    """
    body = parse_body(raw)
    asking = endpoint.asks(body.members)
    policy = policy_for(settings, asking.model, headers, body.members.get("consistency"))
    if reason := asking.unvoted or _reason_of_policy(policy, asking):
        if "only-if-cached" in caller.directives:
            raise NotCached(f"only-if-cached, and what is not voted on is never pinned: {reason}")
        return Untouched(body, asking.model, reason)
    return Wanted(
        endpoint=endpoint,
        body=body,
        model=asking.model,
        policy=policy,
        question=_question(endpoint, body, asking),
        greedy=asking.greedy,
        streamed=asking.streamed,
        include_usage=asking.include_usage,
        usage_in_chunks=asking.usage_in_chunks,
        max_tokens=asking.max_tokens,
        has_tools=asking.has_tools,
        wants_json=asking.wants_json,
        tenant=caller.tenant(headers),
        cache_control=caller.directives,
        client=caller.key,
    )


def _question(endpoint: Form, body: Body, asking: Asking) -> Question:
    try:
        return ask(endpoint.path, body.members, asking.seed)
    except RecursionError:  # what could just be read may be too deep to be written
        raise BadRequest("the body is nested too deeply") from None


def _reason_of_policy(policy: Policy, asking: Asking) -> str | None:
    if policy.when == "deterministic" and not asking.greedy and asking.seed is None:
        return "when"
    return None


@remembered(4096)
def tenant_of(*credentials: str) -> str:
    """A digest of who asks; "" for nobody. The credentials themselves are never stored."""
    if not any(credentials):
        return ""
    return sha256("\0".join(credentials).encode("utf-8", "surrogateescape")).hexdigest()[:32]
