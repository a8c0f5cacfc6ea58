"""Log lines: what is in them, and that nobody waits for whoever reads them."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

import pytest

from gateway.telemetry import logs
from gateway.telemetry.logs import REQUEST_ID, JsonFormatter, TextFormatter, ThreadHandler, said


def record(message: str = "hello", **about: object) -> logging.LogRecord:
    made = logging.LogRecord("gateway", logging.WARNING, __file__, 1, message, (), None)
    vars(made).update(said(**about))
    return made


@contextmanager
def request(name: str) -> Iterator[None]:
    token = REQUEST_ID.set(name)
    try:
        yield
    finally:
        REQUEST_ID.reset(token)


def test_a_line_of_json() -> None:
    """Time, level, message, the request's id, and what else is said, in one line."""
    with request("id-1"):
        line = JsonFormatter().format(record("two\nlines", k=3))
    assert "\n" not in line
    told = json.loads(line)
    assert ("warning", "two\nlines", "id-1", 3) == tuple(
        told[key] for key in ("level", "message", "request_id", "k")
    )
    assert ["time", "level", "message", "request_id", "k"] == [*told]


def test_a_line_outside_a_request_has_no_id() -> None:
    """Nor has one in text."""
    assert "request_id" not in JsonFormatter().format(record())
    assert TextFormatter().format(record()).endswith("WARNING hello")


def test_a_line_of_text() -> None:
    """What else is said follows the message, and stays on the line."""
    with request("id-1"):
        assert (
            TextFormatter()
            .format(record(k=3, said="a\nb"))
            .endswith(r"WARNING hello k=3 said=a\nb request_id=id-1")
        )


def test_what_utf8_cannot_say() -> None:
    """Half a surrogate pair, as a JSON answer can name a field, does not lose the line."""
    assert {"\ud800": 1} == json.loads(JsonFormatter().format(record(fields={"\ud800": 1})))["fields"]


def test_an_exception_is_told_whole() -> None:
    """The traceback is part of the line."""
    try:
        int("why")
    except ValueError as error:
        made = record()
        made.exc_info = (ValueError, error, error.__traceback__)
    assert "ValueError: invalid literal" in json.loads(JsonFormatter().format(made))["exception"]


def test_lines_come_in_order_and_none_is_left_behind() -> None:
    """Once the handler is closed, all that was logged is written."""
    out = StringIO()
    handler = ThreadHandler(out)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for number in range(1000):
        handler.emit(record(str(number)))
    handler.close()
    assert [str(number) for number in range(1000)] == out.getvalue().split()


def test_nobody_waits_for_who_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a full pipe and a full queue lines are lost, not waited for; once it is read, their number is told."""
    monkeypatch.setattr(logs, "_MOST", 10)
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as reader, os.fdopen(write_end, "w") as writer:
        handler = ThreadHandler(writer)
        handler.setFormatter(logging.Formatter("%(message)s"))
        for _ in range(200):  # a pipe holds 64 KiB
            handler.emit(record("x" * 1000))
        told = lost = 0
        while told + lost < 200:
            line = reader.readline()
            told += line.startswith("x")
            lost += 0 if line.startswith("x") else int(line.split()[0])
        handler.close()
        assert (200, True) == (told + lost, lost > 0)
