"""Which header fields go through, and the ones that the gateway adds."""

import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime

from gateway.core.pin import Pin
from gateway.wire.fields import Fields

Pairs = list[tuple[str, str]]

_BLANK = re.compile(r"(?<=[,;]) ")  # after a separator of a structured field (RFC 8941), which needs none
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)

# Of what is said of a verdict, what is a number.
_PREFIX = "x-consistency-"
_COUNTS = frozenset({"k", "k-asked", "samples", "distinct", "divergence", "tokens"})
_FRACTIONS = frozenset({"agreement", "margin"})

# Fields that belong to one connection (RFC 9110, section 7.6.1), or that a proxy makes anew.
CONNECTION = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "host", "content-length", "expect",
})  # fmt: skip

# Where a client's key stands.
CREDENTIALS = frozenset({"authorization", "x-api-key"})

# For whom a request is sent on, as those on its way say, or as anybody likes to.
_CLAIMS = frozenset({"forwarded", "x-real-ip"})

# What a voted request sends on. A field that could change the answer has to be part of the key, so only
# these go.
SENT_ON = (
    "authorization",
    "openai-organization",
    "openai-project",
    "x-api-key",
    "anthropic-version",
    "anthropic-beta",
    "user-agent",
    "traceparent",
    "tracestate",
)

# Who asks, and what may change the answer: whatever is in one of these is part of the key.
TENANT = (
    "authorization",
    "openai-organization",
    "openai-project",
    "x-api-key",
    "anthropic-version",
    "anthropic-beta",
)


def sent_on(headers: Mapping[str, str], *, streamed: bool) -> Fields:
    """The header of a sample's request, less its id."""
    made = [(name, headers[name]) for name in SENT_ON if name in headers]
    made += (
        ("content-type", "application/json"),
        ("accept", "text/event-stream" if streamed else "application/json"),
        ("accept-encoding", "identity"),
    )
    return Fields(made)


def passed_back(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The upstream's fields that concern the client. Names in lower case."""
    return tuple(
        (name, value)
        for name, value in headers
        if name.startswith(("x-ratelimit-", "retry-after", "openai-", "anthropic-")) or name == "content-type"
    )


def retry_after(headers: Iterable[tuple[str, str]]) -> float | None:
    """Seconds after which the upstream wants to be asked again (RFC 9110, section 10.2.3); None if it says nothing.

    Milliseconds, which OpenAI's servers send as well, go first. Names in lower case.
    """
    fields = dict(headers)
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = fields.get(name, "").strip()
        if _NUMBER.fullmatch(text):
            return float(text) * unit
    try:
        wanted = parsedate_to_datetime(fields["retry-after"])
        now = parsedate_to_datetime(fields["date"])
        return max(0.0, (wanted - now).total_seconds())
    except (KeyError, TypeError, ValueError):  # TypeError: one with a time zone and one without
        return None


def passed_through(headers: Iterable[tuple[str, str]]) -> Pairs:
    """All fields but those of the connection, and those that `Connection` names."""
    kept: Pairs = []
    named: set[str] = set()
    for given, value in headers:
        name = given.lower()
        if name == "connection":
            named |= {word.strip().lower() for word in value.split(",")}
        elif name not in CONNECTION and not name.startswith("x-consistency-"):
            kept.append((name, value))
    return [pair for pair in kept if pair[0] not in named] if named else kept


def passed_on(headers: Iterable[tuple[str, str]]) -> Pairs:
    """A request's fields for an upstream: `passed_through`, less claims of who asks, and less look-alikes.

    The one who asks is the gateway, and servers believe what a claim says if it comes from a machine that they
    trust. Some take an underscore for a dash: what would then be a field that does not go on, does not go on. Names
    in lower case.
    """
    plain = (pair for pair in headers if "_" not in pair[0] or not _is_reserved(pair[0].replace("_", "-")))
    return [pair for pair in passed_through(plain) if not _is_claim(pair[0])]


def _is_claim(name: str) -> bool:
    return name in _CLAIMS or name.startswith("x-forwarded-")


def _is_reserved(name: str) -> bool:
    return name in CONNECTION or name in CREDENTIALS or _is_claim(name)


# What an answer's fields may be called, after `x-consistency-`. A proxy may send them back with a request.
TOLD = frozenset({
    "source", "outcome", "agreement", "k", "samples", "distinct", "tokens", "policy", "key", "margin", "divergence",
    "k-asked",
})  # fmt: skip


def describe(pin: Pin, source: str, key: str) -> dict[str, str]:
    """The `x-consistency-*` fields of a verdict."""
    made = {
        "x-consistency-source": source,
        "x-consistency-outcome": pin.outcome,
        "x-consistency-agreement": f"{pin.agreement:.2f}",
        "x-consistency-k": str(pin.k),
        "x-consistency-samples": str(pin.samples),
        "x-consistency-distinct": str(pin.distinct),
        "x-consistency-tokens": str(pin.tokens),
        "x-consistency-policy": pin.policy,
    }
    if key:
        made["x-consistency-key"] = key
    if pin.margin is not None:
        made["x-consistency-margin"] = f"{pin.margin:.4g}"
    if pin.divergence is not None:
        made["x-consistency-divergence"] = str(pin.divergence)
    return made


def describe_shedding(asked: int) -> dict[str, str]:
    """The field of an answer for which pressure left one sample instead of so many; none for 0."""
    return {"x-consistency-k-asked": str(asked)} if asked else {}


def as_member(described: Mapping[str, str]) -> dict[str, str | int | float]:
    """The same as members of a JSON object: without the prefix, in one word, numbers as numbers."""
    return {
        name.removeprefix(_PREFIX).replace("-", "_"): _number(name.removeprefix(_PREFIX), value)
        for name, value in described.items()
    }


def _number(name: str, value: str) -> str | int | float:
    """What other versions of the gateway write otherwise stays a text."""
    try:
        if name in _COUNTS:
            return int(value)
        return float(value) if name in _FRACTIONS else value
    except ValueError:
        return value


def as_comment(described: Mapping[str, str]) -> str:
    """The same as one line for an SSE comment, of words parted by blanks: the lists in it do without theirs."""
    return " ".join(f"{name}={_BLANK.sub('', value)}" for name, value in described.items())
