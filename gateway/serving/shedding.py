"""Under pressure: one sample instead of k, where the policy would rather have that than wait."""

from dataclasses import replace

from gateway.serving.gateway import Gateway
from gateway.serving.wanted import Wanted


def relieved(gateway: Gateway, wanted: Wanted) -> Wanted:
    """The request as it is voted on now: with k=1 if samples stand in line and its policy says `shed`.

    What comes of it says so, and is not pinned: the next request, in better times, has its vote.
    """
    policy = wanted.policy
    if not policy.shed or policy.k == 1 or not _is_pressed(gateway, wanted):
        return wanted
    # Keys that are remembered are those of k samples: neither may be given the other's.
    return replace(wanted, policy=replace(policy, k=1), asked=policy.k, _keys={})


def _is_pressed(gateway: Gateway, wanted: Wanted) -> bool:
    """Whether anybody's samples wait for a place in this process, or at every upstream that could be asked."""
    if gateway.slots.is_crowded:
        return True
    lane = wanted.policy.lane
    asked = [each for each in gateway.pool.candidates(wanted.model) if each.settings.lane == lane]
    return bool(asked) and all(upstream.slots.is_crowded for upstream in asked)
