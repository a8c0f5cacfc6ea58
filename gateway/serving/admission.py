"""Who is let in: with a key where there are some, and as far as there is room."""

from gateway.door.request import Request
from gateway.errors import Draining, Overloaded
from gateway.serving.gateway import Gateway
from gateway.serving.keyring import Keyring, refusal, tenant_without_key, without_credentials
from gateway.serving.quota import Quota
from gateway.serving.trace import Trace

_SOON = (("retry-after", "1"),)


def admit(gateway: Gateway, request: Request, trace: Trace) -> None:
    """Let a request in; Draining, Unauthorized or Overloaded if not. It counts as in flight already."""
    traffic = gateway.traffic
    if traffic.is_draining:
        raise Draining("shutting down", headers=_SOON)
    if gateway.keyring is not None:
        identify(gateway.keyring, request, trace)
        traffic.of_tenant[trace.tenant] += 1
        if trace.key is not None and trace.key.is_limited:
            trace.quota = Quota(trace.key, gateway.store, gateway.accounts, gateway.metrics)
    most = gateway.settings.limits.max_in_flight
    if traffic.in_flight > most and not traffic.has_share(trace.tenant, most):
        raise Overloaded(f"more than limits.max_in_flight {most} requests at once", headers=_SOON)


def identify(keyring: Keyring, request: Request, trace: Trace) -> None:
    """Find out whose request it is; from here on its key is gone, so that it cannot go upstream."""
    key = trace.key = keyring.find(request.headers)
    if key is None:
        trace.tenant = tenant_without_key(request.headers)
        raise refusal(request.headers)
    trace.tenant = key.name
    request.headers = request.headers.once(without_credentials)
