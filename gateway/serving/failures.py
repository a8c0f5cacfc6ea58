"""What a client is told of a round without a verdict, or with one that its policy rejects."""

from gateway.core.ballot import Abstention
from gateway.core.failure import NoReference, NoSamples
from gateway.core.pin import make_pin
from gateway.core.policy import Policy
from gateway.core.round import Result
from gateway.core.vote import Verdict
from gateway.errors import (
    DeadlineExceeded,
    GatewayError,
    NoAgreement,
    NoArbiter,
    NoQuorum,
    Overloaded,
    ReferenceUnavailable,
    UpstreamAnswered,
    UpstreamUnreachable,
)
from gateway.wire.forms.exact import read_object
from gateway.wire.headers import describe

_SAID = 200  # bytes of what has no words of its own


def no_agreement(verdict: Verdict, policy: Policy) -> NoAgreement:
    """Why `reject` refuses the vote: its tally, and the fields that a verdict has."""
    if verdict.outcome == "no_quorum":
        why = f"too few answers could be read, {sum(verdict.votes)} where {policy.quorum} are needed"
    else:
        why = f"the samples agree at {verdict.agreement:.2f}, below min_agreement {policy.min_agreement:g}"
    return NoAgreement(
        f"{why}: {verdict.samples} samples, votes {'-'.join(map(str, verdict.votes)) or 'none'}",
        headers=tuple(describe(make_pin(verdict, policy.name), "vote", "").items()),
    )


def no_verdict(result: Result | None) -> GatewayError:
    """The round ended without a verdict."""
    if isinstance(result, NoSamples):
        return _no_samples(result)
    if isinstance(result, NoReference):
        return NoArbiter(f"the samples disagree: {_describe(result.abstention)}")
    return NoQuorum("no sample that came goes on as the stream began")


def _no_samples(lost: NoSamples) -> GatewayError:
    culprit = lost.culprit
    said = "; ".join(sorted({_describe(abstention) for abstention in lost.abstentions}))
    if culprit and culprit.reason == "status" and culprit.status is not None:
        return answered(culprit.upstream, culprit.status, culprit.detail, culprit.headers)
    match culprit.reason if culprit else "":
        case "queue":
            return Overloaded("too many samples are in flight", headers=(("retry-after", "1"),))
        case "unreachable":
            return UpstreamUnreachable(f"no upstream could be reached: {said}")
        case "timeout":
            return DeadlineExceeded(f"no sample came in time: {said}")
        case "reference":
            return ReferenceUnavailable(said)
        case _:
            return NoQuorum(f"{lost.samples} of {lost.quorum} samples needed came: {said}")


def answered(
    upstream: str, status: int, body: bytes, headers: tuple[tuple[str, str], ...]
) -> UpstreamAnswered:
    """The upstream's own error. Who tells a client of it knows what that can read."""
    said = body[:_SAID].decode(errors="replace") or "nothing"
    return UpstreamAnswered(
        status,
        body if read_object(body) else b"",
        tuple(pair for pair in headers if pair[0] != "content-type"),
        f"{upstream} answered {status}: {said}",
    )


def _describe(abstention: Abstention) -> str:
    """A failure in words for the client; where upstreams are is none of its business."""
    if abstention.reason == "reference":
        return "no reference lane is up and trusted"
    if abstention.status:
        return f"{abstention.upstream} answered {abstention.status}"
    if abstention.reason == "garbage":
        return f"{abstention.upstream} gave no completion: {abstention.detail.decode(errors='replace')[:200]}"
    return f"{abstention.upstream} {abstention.reason}"
