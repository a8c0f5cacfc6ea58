"""What clients ask for and get, and who they are."""

from deploy.grafana.kinds import Panel, lines, quantiles, rates_by
from deploy.grafana.promql import CHOSEN, gauge, rate

_TENANT = 'tenant=~"$tenant"'

REQUESTS: list[Panel] = [
    rates_by(
        "status",
        "Requests by status",
        "What clients received. 422: no agreement. 429: overload or a limit. 502: no quorum or no upstream. 504: the "
        "deadline. 499: the client left.",
        "scg_requests_total", *CHOSEN, unit="reqps",
    ),
    rates_by(
        "source",
        "Requests by source",
        "Whether answers came from a vote, the cache, a vote joined, the reference lane, one sample, or unvoted.",
        "scg_requests_total", *CHOSEN, unit="reqps",
    ),
    rates_by(
        "endpoint",
        "Requests by endpoint",
        "Which of the endpoints clients use; what is passed through unvoted is counted under `other`.",
        "scg_requests_total", *CHOSEN, unit="reqps",
    ),
    lines(
        "Time to answer",
        "From the request's arrival to the response's last byte, by source.",
        quantiles("scg_request_seconds", by="source"),
        unit="s",
    ),
    lines(
        "Time to the first chunk",
        "From a request's arrival to the first chunk of its stream. Far above a single sample's: set `stream_launch: "
        "all`, or vote on fewer.",
        quantiles("scg_first_chunk_seconds", by="source"),
        unit="s",
    ),
    lines(
        "Overhead",
        "Time that the gateway itself took: not spent waiting for an upstream. Up with load: give it more workers or "
        "processors. Up for `cache` alone: Redis is slow.",
        quantiles("scg_overhead_seconds", by="source"),
        unit="s",
    ),
    lines(
        "Requests in the gateway",
        "Requests being answered. At `limits.max_in_flight` further ones are refused with 429.",
        {"requests": gauge("scg_in_flight_requests")},
        width=12,
    ),
    lines(
        "Gateways",
        "By version, so that a rollout can be seen; the workers of one count as one. Two versions for long: it is "
        "stuck.",
        {"{{version}}": gauge("scg_build_info", by="version", how="count")},
        width=12,
    ),
]  # fmt: skip

TENANTS: list[Panel] = [
    rates_by(
        "tenant, status",
        "Requests by tenant",
        "Who asks, and what they get. Only where `keys` are configured. 401 under a name: a key that is no longer "
        "good.",
        "scg_tenant_requests_total", _TENANT, unit="reqps",
    ),
    lines(
        "Tokens by tenant",
        "spent: prompt and completion tokens that upstreams generated for them. returned: completion tokens that they "
        "received. A tenant that spends much more than it gets asks what nobody asks twice.",
        {"{{tenant}} {{kind}} a second": rate("scg_tenant_tokens_total", _TENANT, by="tenant, kind")},
    ),
    rates_by(
        "tenant, limit",
        "Refused by a limit",
        "Requests that got 429 for a tenant's `rpm` (requests) or `tpm` (tokens). Steady: raise it, or talk to them.",
        "scg_tenant_limited_total", _TENANT, unit="reqps",
    ),
]  # fmt: skip
