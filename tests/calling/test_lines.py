"""Files of lines: what is whole stays, what was cut off goes."""

from pathlib import Path

import pytest

from gateway.calling.lines import Unreadable, append, as_line, keep_aside, mend, read_text, whole_lines


def test_what_is_added_is_read_again(tmp_path: Path) -> None:
    """Line ends inside a value, also those that only some programs know, end no line."""
    path = tmp_path / "a.jsonl"
    for value in ("a\nb", "c\u2028d\x85", "\ud800"):
        append(path, as_line(value))
    assert [r'"a\nb"', r'"c\u2028d\u0085"', r'"\ud800"'] == whole_lines(read_text(path))


@pytest.mark.parametrize(
    ("text", "left"), [("a\nb\n", "a\nb\n"), ("a\nb", "a\n"), ("ab", ""), ("", ""), ("a\n\xe9", "a\n")]
)
def test_a_line_that_was_cut_off_goes(text: str, left: str, tmp_path: Path) -> None:
    """Only what stands behind the last line end is taken away."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(text.encode("latin-1"))
    mend(path)
    assert left == path.read_text()


def test_what_is_there_is_kept_aside(tmp_path: Path) -> None:
    """Under the first free name, whatever the file's end."""
    path = tmp_path / "a.jsonl"
    assert keep_aside(path) is None
    for number in (1, 2):
        path.write_text(str(number))
        assert tmp_path / f"a.{number}.jsonl" == keep_aside(path)
    assert "1" == (tmp_path / "a.1.jsonl").read_text()


@pytest.mark.parametrize(
    ("content", "said"), [(b"a\xff", "is not UTF-8 .* at byte 1"), (None, "No such file or directory")]
)
def test_a_file_that_is_no_text(content: bytes | None, said: str, tmp_path: Path) -> None:
    """The file is named, and why."""
    path = tmp_path / "a.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Unreadable, match=rf"^{path}: {said}"):
        read_text(path)
