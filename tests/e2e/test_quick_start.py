"""The examples of the quick start run as they stand."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.doubles.processes import Running

pytestmark = [pytest.mark.backend, pytest.mark.processes]

PAGE = Path(__file__).parents[2] / "docs" / "quick-start.md"
_BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCKS = [(kind, code) for kind, code in _BLOCK.findall(PAGE.read_text(encoding="utf-8"))]
SH = next(code for kind, code in BLOCKS if kind == "sh")
PLAIN, STREAM = (code for kind, code in BLOCKS if kind == "python" and "import openai\n" in code)


def run(command: list[str], code: str, gateway: Running) -> str:
    """What an example prints, asked of this gateway."""
    here = code.replace("http://127.0.0.1:8080", gateway.url)
    done = subprocess.run([*command, here], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout


def test_the_examples_run(gateway: Running) -> None:
    """curl, openai-python, and a stream: each gives an answer, and what is known of it."""
    said = run(["sh", "-c"], SH, gateway)
    assert "x-consistency-source: vote" in said
    assert "#### " in said
    again = run([sys.executable, "-c"], PLAIN, gateway)
    assert "#### " in again
    assert "1.00" in again.splitlines()[-1]
    streamed = run([sys.executable, "-c"], STREAM, gateway)
    assert "#### 17" in streamed
    assert 1.0 == float(streamed.splitlines()[-1])


@pytest.mark.parametrize("library", ["langchain_openai", "llama_index"])
def test_the_examples_of_other_libraries_run(library: str, gateway: Running) -> None:
    """LangChain and LlamaIndex, which few who change the gateway have: one votes, and is told the agreement."""
    if find_spec(library) is None:
        pytest.skip(f"no {library} here: pip install -e '.[examples]' brings 300 MB, and openai 2")
    (code,) = (code for kind, code in BLOCKS if kind == "python" and f"from {library}" in code)
    said = run([sys.executable, "-c"], code, gateway)
    assert "#### " in said
    assert ("1.00" in said) is (library == "langchain_openai")
    assert 1 == gateway.metric("scg_rounds_total", model="demo")
