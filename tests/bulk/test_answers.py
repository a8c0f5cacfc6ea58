"""The output file: what is in it is not asked again, whatever ended the one who wrote it."""

from contextlib import closing
from pathlib import Path

import pytest

from gateway.bulk.answers import Answers, AnswersError
from gateway.bulk.jobs import Job, read_jobs
from gateway.bulk.record import Record, make_record, read_record
from gateway.calling.post import Failed, Got
from tests.doubles.upstream import plain

JOBS = {job.custom_id: (job.id(()), job) for job in read_jobs("one\ntwo\nthree", "f", {"model": "m"})}
TOLD = {
    "source": "vote",
    "outcome": "majority",
    "agreement": "0.67",
    "k": "3",
    "samples": "3",
    "tokens": "9",
    "k-asked": "5",
}
SAID = Got(
    200,
    [("x-request-id", "r"), *((f"x-consistency-{name}", value) for name, value in TOLD.items())],
    b'{\n"n": 1.50, ' + plain("41\u2028é", 0)[1:],
    0.1,
)


def record(custom_id: str, got: Got | Failed = SAID) -> Record:
    return make_record(*JOBS[custom_id], got)


def there(path: Path) -> list[str]:
    with closing(Answers(path, JOBS)) as answers:
        return [each.job.custom_id for each in answers.there]


def write(path: Path, *records: Record) -> None:
    with closing(Answers(path, JOBS)) as answers:
        for each in records:
            answers.append(each)


def test_a_line_is_in_the_batch_format(tmp_path: Path) -> None:
    """The body as it came but for line ends, the figures as numbers."""
    write(tmp_path / "o", record("line-1"))
    (line,) = (tmp_path / "o").read_bytes().split(b"\n")[:-1]
    read = read_record(line)
    assert read.response is not None
    assert (200, "r", None) == (read.response.status_code, read.response.request_id, read.error)
    assert b'{"n":1.50,' in bytes(read.response.body)
    figures = {"agreement": 0.67, "k": 3, "samples": 3, "tokens": 9, "k_asked": 5}
    assert {"outcome": "majority", "source": "vote"} | figures == read.consistency


@pytest.mark.parametrize(
    ("got", "code"),
    [
        (Failed("broken: gone", "broken"), "broken"),
        (Failed("no whole answer within 1 s", "timeout"), "timeout"),
        (Got(200, SAID.headers, b"<html>", 0.1), "unreadable"),
    ],
)
def test_no_response(got: Got | Failed, code: str) -> None:
    """`response` is null, and `error` says why."""
    made = record("line-1", got)
    assert made.response is None
    assert made.error is not None
    assert code == made.error.code


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_line_that_was_cut_off_is_asked_again(cut: int, tmp_path: Path) -> None:
    """Whoever was killed in mid-write costs that line, and no other."""
    path = tmp_path / "o"
    write(path, record("line-1"), record("line-2"))
    path.write_bytes(path.read_bytes()[:-cut])
    assert ["line-1"] == there(path)
    write(path, record("line-3"))
    assert ["line-1", "line-3"] == there(path)


@pytest.mark.parametrize(
    ("status", "kept"), [(status, status in {200, 422}) for status in (200, 422, 400, 401, 429, 500, 504)]
)
def test_what_may_go_otherwise_is_asked_again(status: int, kept: object, tmp_path: Path) -> None:
    """An answer stays, and so does the verdict that there is none; all else is taken out, the rest untouched."""
    path = tmp_path / "o"
    write(path, record("line-1"), record("line-2", Got(status, (), b'{"error":{"message":"x"}}', 0.1)))
    write(path, record("line-3"))
    assert ["line-1", *(["line-2"] if kept else []), "line-3"] == there(path)


def test_another_process_writes_it(tmp_path: Path) -> None:
    """Two at once would ask everything twice: the second is told so, also after lines were taken out."""
    path = tmp_path / "o"
    write(path, record("line-1"), record("line-2", Failed("x", "broken")))
    with closing(Answers(path, JOBS)), pytest.raises(AnswersError, match="another scg bulk is writing it"):
        Answers(path, JOBS)
    assert ["line-1"] == there(path)


def test_starting_over(tmp_path: Path) -> None:
    """Until an answer comes the old file stays; then it is kept aside, whatever stood in it."""
    path, aside = tmp_path / "o.jsonl", tmp_path / "o.1.jsonl"
    path.write_bytes(b"notes")
    with closing(Answers(path, JOBS, fresh=True)) as answers:
        assert ([], []) == (answers.there, answers.read())
    assert [path] == list(tmp_path.iterdir())
    with closing(Answers(path, JOBS, fresh=True)) as answers:
        answers.append(record("line-1"))
        with pytest.raises(AnswersError, match="another scg bulk is writing it"):
            Answers(path, JOBS)
        answers.append(record("line-2"))
        assert (aside, 2) == (answers.aside, len(answers.read()))
    assert b"notes" == aside.read_bytes()
    assert ["line-1", "line-2"] == there(path)


def test_one_that_was_killed_while_it_took_lines_out(tmp_path: Path) -> None:
    """What it had begun to write beside the file is of no consequence."""
    path = tmp_path / "o"
    write(path, record("line-1"), record("line-2", Failed("x", "broken")))
    (tmp_path / "o.new").write_bytes(b"half a li")
    assert ["line-1"] == there(path)
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{}\n", "o:1: not a line of answers"),
        (b"\xff\n", "o:1: not a line of answers"),
        (b"notes", "o:1: not a line of answers"),
        (record("line-1").line + b"notes", "o:2: not a line of answers"),
        (record("line-1").line.replace(b'"line-1"', b'"x"'), "o:1: custom_id 'x' is not in the input"),
        (record("line-1").line.replace(b"batch_req_", b"x"), "o:1: under custom_id 'line-1' something else"),
    ],
)
def test_a_file_of_something_else(line: bytes, said: str, tmp_path: Path) -> None:
    """It is not added to; the line is named, and what to do; it is left as it is, and free."""
    path = tmp_path / "o"
    path.write_bytes(line)
    for _ in range(2):
        with pytest.raises(AnswersError, match=said):
            Answers(path, JOBS)
    assert line == path.read_bytes()


def test_an_empty_file_is_not_left_behind(tmp_path: Path) -> None:
    """Where nothing came there is nothing."""
    assert [] == there(tmp_path / "o")
    assert [] == list(tmp_path.iterdir())


def test_jobs_have_names_of_their_own() -> None:
    """The fixture's three lines are three questions."""
    assert 3 == len({name for name, _ in JOBS.values()})
    assert all(isinstance(job, Job) for _, job in JOBS.values())
