"""Progress without a terminal: on a clock of the test's own."""

from io import StringIO

from gateway.calling.progress import PlainDisplay


def test_lines_now_and_then() -> None:
    """One as a part begins, one every ten seconds with what is left, one at its end, and each wait."""
    now, stream = [0.0], StringIO()
    display = PlainDisplay(stream, "scg x", lambda: now[0])
    display.begins("part", 4)
    for second, seen in ((4.0, "a"), (10.0, "b"), (12.0, "c"), (13.0, "d")):
        now[0] = second
        display.came(seen)
    display.waits("waiting 3 s")
    assert [
        "scg x: part: 4 requests",
        "scg x: part: 2 of 4, about 10 s to go; b",
        "scg x: part: 4 of 4; d",
        "scg x: waiting 3 s",
    ] == stream.getvalue().splitlines()
