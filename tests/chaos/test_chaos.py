"""Two hundred clients for a minute, while everything around the gateway breaks, one thing after the other."""

import asyncio

import pytest

from benchmarks.chaos.faults import FAULTS
from benchmarks.chaos.run import Outcome, run

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

_CLIENTS, _WORKERS = 200, 2
_LASTING, _PAUSE = 4.0, 4.0
_ROOM = 1.3  # what resident memory may have grown by since before the first fault; pins take up to 16 MiB a worker


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One run that all tests look at."""
    folder = tmp_path_factory.mktemp("chaos")
    return asyncio.run(run(folder, clients=_CLIENTS, workers=_WORKERS, lasting=_LASTING, pause=_PAUSE))


def test_every_fault_was_there(outcome: Outcome) -> None:
    """Redis, replicas and a worker were broken in turn, and clients of all kinds were at work."""
    assert [fault.name for fault in FAULTS] == [window.fault.name for window in outcome.windows]
    assert min(outcome.seen.counts[kind] for kind in ("plain", "streamed", "refused")) > 0


def test_no_request_fails(outcome: Outcome) -> None:
    """Whatever broke, every question was answered: quorum survived, and Redis is no condition."""
    assert [] == outcome.failed()
    assert 0 == outcome.seen.counts["not refused"]


def test_no_connection_breaks_but_with_a_worker(outcome: Outcome) -> None:
    """Clients had to connect anew when a worker was killed, and at no other time."""
    assert [] == outcome.cut_off()


def test_no_question_has_two_answers(outcome: Outcome) -> None:
    """While Redis was there each question had one answer, from whichever worker, plain or streamed."""
    assert {} == outcome.disputed()


def test_one_answer_is_left(outcome: Outcome) -> None:
    """What each worker pinned for itself while Redis was away is one answer for all once it is back."""
    assert {} == outcome.unsettled()


def test_memory_returns_to_its_level(outcome: Outcome) -> None:
    """After the last fault the gateway holds no more than before the first, and what its pins take."""
    assert outcome.growth <= _ROOM
