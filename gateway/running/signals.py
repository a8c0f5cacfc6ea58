"""What a parent hears: signals as bytes on a socket, so that they are waited for like everything else."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@contextmanager
def heard_signals() -> Iterator[socket.socket]:
    """Where their numbers come."""
    heard, woken = socket.socketpair()
    heard.setblocking(False)  # noqa: FBT003  its own signature
    woken.setblocking(False)  # noqa: FBT003  likewise
    signal.set_wakeup_fd(woken.fileno())
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)
    try:
        with heard, woken:
            yield heard
    finally:
        signal.set_wakeup_fd(-1)


@contextmanager
def held_back() -> Iterator[None]:
    """None comes meanwhile; those that would have come then."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def become_a_worker() -> None:
    """Let go of the parent's ears. SIGINT is the parent's to hear, and SIGHUP waits until there is a handler."""
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*SIGNALS} - {signal.SIGHUP})
