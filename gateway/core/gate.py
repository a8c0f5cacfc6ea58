"""The quality gate: which verdicts may be pinned."""

from gateway.core.policy import Policy
from gateway.core.vote import Verdict


def refusal_to_pin(verdict: Verdict, policy: Policy, max_tokens: int | None) -> str | None:
    """Why this verdict is not pinned, or None if it may be.

    A plurality or a tie is pinned: one answer is the point. An answer cut by the client's own `max_tokens`
    is its choice; one cut earlier, by the context limit, is an accident (`pin_truncated: auto`).
    """
    if verdict.outcome == "no_quorum":
        return "no_quorum"
    finish = verdict.winner.reply.finish
    if finish in {"content_filter", "error", "abort"}:
        return finish
    if finish == "length" and not _pins_truncated(verdict, policy, max_tokens):
        return "truncated"
    return None


def _pins_truncated(verdict: Verdict, policy: Policy, max_tokens: int | None) -> bool:
    if policy.pin_truncated != "auto":
        return policy.pin_truncated == "always"
    return max_tokens is not None and verdict.winner.reply.tokens in {0, max_tokens}
