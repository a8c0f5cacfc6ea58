"""What the demo model is made from: right solutions, rows that depend on seed and step alone, its tokenizer."""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from backend.train.problems import Problem, draw_problem, draw_question
from backend.train.recipe import POSITIONS
from backend.train.rows import make_rows
from backend.train.tokens import ASSISTANT, END, USER, byte_tokens, write_tokenizer

SHIPPED = Path("backend/models/demo")


def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


@given(st.integers(0, 10**9))
def test_every_solution_is_right(seed: int) -> None:
    """Each line of a solution is true, and its last one is what the expression comes to."""
    random = Random(seed)
    problem = draw_problem(random)
    asked, answered = draw_question(random, problem)
    *lines, last = answered.splitlines()
    assert f"#### {eval(problem.expression)}" == last
    for line in lines if not asked.startswith("Explain") else ():
        left, right = line.split(" = ")
        assert int(right) == eval(left)


def test_routes_go_round() -> None:
    """From the second term on, the first one comes last."""
    assert (48, -17, 5, 23) == Problem((23, 48, -17, 5)).route(1)


def test_rows_depend_on_seed_and_step_alone() -> None:
    """The same step is the same rows, another step or seed is not."""
    first, again, other, reseeded = (make_rows(*at, 2)[0] for at in ((1, 5), (1, 5), (1, 6), (2, 5)))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, reseeded)


def test_only_answers_are_learnt() -> None:
    """Of a row, what stands between a question's mark and the answer's is not learnt; the answer's end is."""
    tokens, said = make_rows(1, 1, 1)
    row = tokens[0].tolist()
    start, begins = row.index(USER), row.index(ASSISTANT)
    ends = row.index(END)
    assert not said[0][start : begins + 1].any()
    assert said[0][begins + 1 : ends + 1].all()


@pytest.mark.parametrize("text", ["23 + 48 = 71\n#### 71", "é 😀 \x00\x7f"])
def test_tokens_are_bytes(text: str, tmp_path: Path) -> None:
    """The tokenizer's files and the short cut of training agree, for any bytes."""
    write_tokenizer(tmp_path, POSITIONS)
    made = tokenizer(tmp_path)
    assert byte_tokens(text) == made.encode(text)
    assert text == made.decode(made.encode(text))


def test_the_shipped_tokenizer_is_the_one_that_is_made(tmp_path: Path) -> None:
    """The checkpoint in the package has the tokenizer that training writes."""
    write_tokenizer(tmp_path, POSITIONS)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (SHIPPED / name).read_text() == (tmp_path / name).read_text()
