"""How many files this process may have open, connections among them."""

import resource
from contextlib import suppress
from dataclasses import replace

from gateway.settings.model import Settings

_ENOUGH = 1 << 20
_BESIDE = 64  # connections to Redis, files, sockets that listen


def with_descriptors(settings: Settings) -> Settings:
    """Raise the limit as far as it goes, as shells set it for programs of another kind; warn if that is too little."""
    allowed = _raised()
    needed = settings.limits.max_in_flight + settings.limits.max_samples_in_flight + _BESIDE
    if allowed >= needed:
        return settings
    told = (
        f"at most {allowed} open files (`ulimit -Hn`), fewer than limits.max_in_flight + "
        f"limits.max_samples_in_flight + {_BESIDE} = {needed}: under full load connections will fail"
    )
    return replace(settings, warnings=(*settings.warnings, told))


def _raised() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _ENOUGH if soft == resource.RLIM_INFINITY else soft
    with suppress(ValueError, OSError):  # a kernel may allow less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft
