"""How a request is voted on: one frozen Policy, made from presets, configuration and the request itself.

The table of fields is the contract with users.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

from gateway.core.policy_fields import PolicyError, parse_field


@dataclass(frozen=True, slots=True)
class Policy:
    """Every field of a policy. Durations in seconds; None where the default depends on other settings."""

    name: str = "majority"
    k: int = 3
    lane: str = "fast"
    answer: str = "auto"
    stop: str = "unbeatable"
    min_ballots: int | None = None
    min_agreement: float = 0.0
    on_disagreement: str = "return"
    reference_fallback: str = "error"
    spread: str = "together"
    salt: bool = False
    when: str = "always"
    measure: float = 0.0
    measure_k: int = 3
    recheck: float = 0.0
    wave: int = 1
    stream_launch: str | None = None
    accept_margin: float | None = None
    pin_truncated: str = "auto"
    shed: bool = False
    sample_timeout: float | None = None
    deadline: float | None = None
    ttl: float | None = None
    cache: bool = True

    @property
    def quorum(self) -> int:
        """The ballots without which there is no verdict: `min_ballots`, and never more than k.

        If not given it is more than half of k, or 3 under `beta:C`, which is made to end far below the half.
        """
        if self.min_ballots is not None:
            return min(self.min_ballots, self.k)
        return min(3, self.k) if self.stop.startswith("beta:") else self.k // 2 + 1

    @property
    def most(self) -> int:
        """Samples that a round may come to on the policy's lane: k, or N under `escalate:N`."""
        rule, _, number = self.on_disagreement.partition(":")
        return int(number) if rule == "escalate" else self.k

    @property
    def needs_reference(self) -> bool:
        """Whether it asks a reference lane for samples: for all of them, or where there is no agreement."""
        return "reference" in (self.lane, self.on_disagreement)

    @property
    def voting_fields(self) -> tuple[object, ...]:
        """What can change the answer, for the key. The name, timeouts and measuring cannot.

        `pin_truncated` changes no vote, but whoever refuses to pin cut answers is not to be given another's.
        """
        return (
            self.k, self.lane, self.answer, self.stop, self.quorum, self.min_agreement, self.on_disagreement,
            self.reference_fallback, self.spread, self.salt, self.wave, self.accept_margin,
            *(() if self.pin_truncated == "auto" else (self.pin_truncated,)),
        )  # fmt: skip

    def override(self, changes: Mapping[str, object], name: str | None = None) -> "Policy":
        """This policy with `changes`, as users write them; PolicyError names the first bad field."""
        taken = {field: parse_field(field, value) for field, value in changes.items()}
        made = replace(self, name=name or self.name, **taken)
        if made.on_disagreement.startswith("escalate:") and made.most <= made.k:
            raise PolicyError(
                "on_disagreement",
                f"{made.on_disagreement} goes no further than k, {made.k}; name more samples",
            )
        return made


PRESETS: Mapping[str, Policy] = MappingProxyType({
    "single": Policy("single", k=1, measure=0.05),
    "majority": Policy("majority", k=3, recheck=0.01),
    "strict": Policy("strict", k=3, min_agreement=1.0, on_disagreement="reference", recheck=0.01),
    "reference": Policy("reference", k=1, lane="reference"),
    "serial": Policy("serial", k=1, lane="reference"),
    "reason": Policy("reason", k=15, stop="beta:0.95", wave=4),
})  # fmt: skip


def named_policies(definitions: Mapping[str, Mapping[str, object]]) -> dict[str, Policy]:
    """The presets and the configured policies by name; `extends` names a preset or another definition.

    Errors:
        PolicyError: its `field` is `NAME.FIELD`; on a circle or an unknown base as well.
    """
    made: dict[str, Policy] = dict(PRESETS)

    def make(name: str, path: tuple[str, ...]) -> Policy:
        if name not in definitions:
            return made[name]
        if name in path:
            raise PolicyError(f"{name}.extends", f"goes in a circle: {' -> '.join((*path, name))}")
        changes = dict(definitions[name])
        base = str(changes.pop("extends", name if name in PRESETS else "majority"))
        if base not in definitions and base not in PRESETS:
            raise PolicyError(f"{name}.extends", f"no policy {base!r}; known: {known(definitions)}")
        own_preset = base == name and name in PRESETS
        parent = PRESETS[name] if own_preset else make(base, (*path, name))
        try:
            return parent.override(changes, name)
        except PolicyError as error:
            raise PolicyError(f"{name}.{error.field}", str(error)) from error

    return made | {name: make(name, ()) for name in definitions}


def known(names: Mapping[str, object]) -> str:
    """The presets and these names, as a list for a message."""
    return ", ".join(sorted({*PRESETS, *names}))


def refuse_beyond(policy: Policy, max_k: int, *, has_reference: bool) -> None:
    """Raise PolicyError for the first field that asks for more than this gateway has."""
    for field, samples in (("k", policy.k), ("on_disagreement", policy.most)):
        if samples > max_k:
            raise PolicyError(field, f"{samples} is more than limits.max_k, {max_k}")
    for field in ("lane", "on_disagreement"):
        if getattr(policy, field) == "reference" and not has_reference:
            raise PolicyError(field, "reference needs an upstream with `lane: reference`, and there is none")


FIELDS = tuple(field.name for field in fields(Policy) if field.name != "name")
