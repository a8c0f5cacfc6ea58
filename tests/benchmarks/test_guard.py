from pathlib import Path

import msgspec
import pytest

from benchmarks import command, guard
from benchmarks.guard import BASELINE, GUARDED, Baseline, Counts, complaints, is_outdated

THEN = {"hit": Counts(1000, 100)}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (Counts(1000, 100), []),
        (Counts(500, 50), []),
        (Counts(1100, 110), []),
        (Counts(1101, 100), ["hit: 1,101 instructions per request, +10% over the baseline's 1,000"]),
        (Counts(1000, 150), ["hit: 150 calls per request, +50% over the baseline's 100"]),
    ],
)
def test_more_than_a_tenth_of_growth_is_told(now: Counts, expected: list[str]) -> None:
    assert expected == complaints({"hit": now}, THEN)


def test_a_mode_without_a_baseline_is_not_compared() -> None:
    assert [] == complaints({"k3": Counts(1, 1)}, THEN)


@pytest.mark.parametrize(("now", "expected"), [(Counts(950, 95), False), (Counts(800, 100), True)])
def test_a_baseline_that_a_path_has_left_behind_is_told(now: Counts, expected: bool) -> None:  # noqa: FBT001
    assert expected is is_outdated({"hit": now}, THEN)


def test_the_kept_baseline_has_every_guarded_mode() -> None:
    kept = msgspec.json.decode(BASELINE.read_bytes(), type=Baseline)
    assert kept
    assert all(set(GUARDED) == set(modes) for modes in kept.values())


@pytest.mark.parametrize(("share", "expected"), [(0.5, 1), (2.0, 0)])
def test_a_path_that_grew_fails_the_command(
    share: float,
    expected: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`make bench ARGS=--guard` ends with 1 where a path costs more than its baseline allows, and says which."""
    monkeypatch.setattr(guard, "BASELINE", tmp_path / "guard.json")
    monkeypatch.setattr(guard, "GUARDED", ("hit",))
    assert 0 == command.main(["--update-guard"])
    ((mode, now),) = guard.read_baseline().items()
    guard.write_baseline({mode: Counts(now.instructions * share, now.calls)})
    assert expected == command.main(["--guard"])
    assert (expected == 1) is ("instructions per request, +" in capsys.readouterr().err)
