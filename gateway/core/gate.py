"""What a verdict is good for: whether the samples agree as the policy wants, and whether it may be pinned."""

from gateway.core.agreement import reaches
from gateway.core.policy import Policy
from gateway.core.vote import Verdict


def is_disagreement(verdict: Verdict, policy: Policy) -> bool:
    """Whether `on_disagreement` has its say: below `min_agreement`, or too few answers for a quorum."""
    return not reaches(verdict.agreement, policy.min_agreement) or verdict.outcome == "no_quorum"


def refusal_to_pin(verdict: Verdict, policy: Policy, max_tokens: int | None) -> str | None:
    """Why this verdict is not pinned, or None if it may be.

    A plurality or a tie is pinned: one answer is the point. So is a reference sample, whatever the vote came to;
    a plurality that the reference lane should have arbitrated is not. An answer cut by the client's own
    `max_tokens` is its choice; one cut earlier, by the context limit, is an accident (`pin_truncated: auto`).
    """
    if verdict.arbitration in {"spoiled", "failed"}:
        return "reference"
    if verdict.outcome == "no_quorum" and verdict.arbitration == "none":
        return "no_quorum"
    finish = verdict.winner.reply.finish
    if finish in {"content_filter", "error", "parse_error", "abort"}:
        return finish
    if finish == "length" and not _pins_truncated(verdict, policy, max_tokens):
        return "truncated"
    return None


def _pins_truncated(verdict: Verdict, policy: Policy, max_tokens: int | None) -> bool:
    if policy.pin_truncated != "auto":
        return policy.pin_truncated == "always"
    return max_tokens is not None and verdict.winner.reply.tokens in {0, max_tokens}
