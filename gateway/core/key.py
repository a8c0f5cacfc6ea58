"""Which requests are the same question.

Two requests share a key only if no engine could answer them differently. What is folded together, and
nothing else: the order of the body's own members and of a message's members; at the top level, numbers of
equal value (0 and 0.0); a missing, null and derived seed. Deeper down everything stays as given, since it may
reach the prompt: a chat template prints a tool's schema in the order and with the numbers that it was given.
Members that cannot change an answer are left out; unknown members are in.

The encoding is JSON with ASCII escapes of one list: delimited, and exact for integers of any size.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from gateway.core.policy import Policy

LEFT_OUT = frozenset({
    "stream", "stream_options", "user", "metadata", "safety_identifier", "prompt_cache_key", "store",
    "service_tier", "priority", "request_id", "consistency",
})  # fmt: skip

_VERSION = "scg1"
_SEED_BITS = 0x7FFF_FFFF


@dataclass(frozen=True, slots=True)
class Question:
    """A request reduced to what can change its answer."""

    endpoint: str
    canonical: str  # the body's members without the seed
    seed: int  # the client's, else derived
    digest: bytes  # of all three

    def key(self, tenant: str, policy: Policy, fingerprint: str) -> str:
        """64 hex digits: this question, asked by this tenant, under these rules, of this pool."""
        parts = [_VERSION, tenant, self.digest.hex(), list(policy.voting_fields), fingerprint]
        return sha256(_encode(parts)).hexdigest()


def ask(endpoint: str, members: Mapping[str, Any], seed: int | None) -> Question:
    """Reduce a body to its question. `members` are JSON values; `seed` is the client's, None for none.

    Where there is no seed, one is derived: 31 bits of the digest of the same material, so that an unseeded
    request is reproducible too.
    """
    body = {
        name: _top_level(name, members[name])
        for name in sorted(members)
        if name != "seed" and name not in LEFT_OUT
    }
    canonical = json.dumps(body, separators=(",", ":"))
    if seed is None:
        material = sha256(_encode([_VERSION, endpoint, canonical])).digest()
        seed = int.from_bytes(material[:4]) & _SEED_BITS
    return Question(
        endpoint, canonical, seed, sha256(_encode([_VERSION, endpoint, canonical, seed])).digest()
    )


def _top_level(name: str, value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if name == "messages" and isinstance(value, list):
        return [dict(sorted(item.items())) if isinstance(item, dict) else item for item in value]
    return value


def _encode(parts: list[Any]) -> bytes:
    return json.dumps(parts, separators=(",", ":")).encode()
