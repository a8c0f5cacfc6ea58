"""Files of JSON lines to which one line is added after the other, and which outlive a writer that is killed."""

import json
import os
from io import FileIO
from pathlib import Path
from typing import Any


class Unreadable(ValueError):
    """A file that cannot be read as text; the message names it and says why."""


def read_text(path: Path) -> str:
    """The file as UTF-8."""
    try:
        return decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from error


def decoded(text: bytes, name: str) -> str:
    """UTF-8 from a source of this name."""
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"{name}: is not UTF-8 ({error.reason} at byte {error.start})") from error


def as_line(value: Any) -> str:
    """One line of ASCII: nothing in it ends a line for anybody."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n"


def append(path: Path, line: str) -> None:
    """Add a line, whole or not at all as far as that is in our hands."""
    with FileIO(path, "a") as file:
        write_all(file, line.encode())


def write_all(file: FileIO, text: bytes) -> None:
    """Write without a buffer: what was written outlives this process."""
    left = memoryview(text)
    while left:
        left = left[file.write(left) :]


def whole_lines(text: str) -> list[str]:
    """The lines, without a last one in which the writer was cut off."""
    return text[: text.rfind("\n") + 1].split("\n")[:-1]


def mend(path: Path) -> None:
    """Take away a last line in which the writer was cut off. What stands before it is not touched."""
    text = path.read_bytes()
    if text and not text.endswith(b"\n"):
        os.truncate(path, text.rfind(b"\n") + 1)


def keep_aside(path: Path) -> Path | None:
    """Rename what is there to the first free name, which is returned; None if there is nothing."""
    if not path.exists():
        return None
    number = 1
    while (aside := path.with_suffix(f".{number}{path.suffix}")).exists():
        number += 1
    return path.rename(aside)
