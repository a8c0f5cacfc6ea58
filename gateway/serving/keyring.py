"""API keys: whose request this is.

Keys are known by their SHA-256 only, and looked up by it. That takes the same steps whatever the key is, short of
its digest's place in a table: who times it learns of digests, which he can compute himself, and not how to find a
key with a given one. So there is nothing that a comparison in constant time would hide, and a thousand keys cost
no more than one. See docs/decisions/0016-keys-by-digest.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from gateway.door.head import Headers
from gateway.errors import Unauthorized
from gateway.settings.model import KeySettings
from gateway.telemetry.metrics import Metrics
from gateway.wire.headers import CREDENTIALS

# Those of clients without a key, or with an unknown one, as tenants in metrics.
ANONYMOUS, OTHER = "anonymous", "other"

_CHALLENGE = (("www-authenticate", "Bearer"),)


class Keyring:
    """The configured keys. Never changed: a new configuration makes a new one."""

    __slots__ = ("_by_digest", "tenants")

    def __init__(self, keys: Iterable[KeySettings]) -> None:
        self._by_digest: Mapping[str, KeySettings] = {key.sha256: key for key in keys}
        self.tenants = tuple(sorted({key.name for key in self._by_digest.values()} | {ANONYMOUS, OTHER}))

    def find(self, headers: Headers) -> KeySettings | None:
        """The key with which a request comes; None for none, and for one that is not configured."""
        return self._by_digest.get(headers.once(_digest))


def keyring_of(keys: Sequence[KeySettings], metrics: Metrics) -> Keyring | None:
    """The keys to serve by; None if there are none, and nobody needs one."""
    if not keys:
        return None
    keyring = Keyring(keys)
    metrics.expect_tenants(keyring.tenants)
    return keyring


def refusal(headers: Headers) -> Unauthorized:
    """What a client without a known key is told. Its key is not repeated."""
    if headers.once(_digest):
        return Unauthorized("this API key is not known here", headers=_CHALLENGE)
    return Unauthorized(
        "no API key: send it as `Authorization: Bearer KEY`, or as `x-api-key: KEY`", headers=_CHALLENGE
    )


def tenant_without_key(headers: Headers) -> str:
    """As which tenant a request counts that has no known key."""
    return OTHER if headers.once(_digest) else ANONYMOUS


def without_credentials(headers: Headers) -> Headers:
    """All other fields: a key of ours is nobody else's business."""
    return Headers(pair for pair in headers.pairs if pair[0] not in CREDENTIALS)


def digest_of(key: str) -> str:
    """By what a key is configured."""
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _digest(headers: Headers) -> str:
    """That of the key that OpenAI's or Anthropic's clients send; "" for none."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    sent = key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
    return digest_of(sent) if sent else ""
