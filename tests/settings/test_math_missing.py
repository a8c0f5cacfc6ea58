"""A rule whose library is not installed."""

import subprocess
import sys
from pathlib import Path

_WITHOUT = """
import sys
sys.modules["math_verify"] = None  # what an import finds where it is not installed
from gateway.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_math_without_its_extra_is_an_error(tmp_path: Path) -> None:
    """The configuration is refused with exit code 2 and one line: the key, and what to install."""
    file = tmp_path / "scg.yaml"
    file.write_text(
        "upstreams: [{url: 'http://llm:8000'}]\npolicies: {sums: {answer: math}}\nvote: {policy: sums}\n"
    )
    command = [sys.executable, "-c", _WITHOUT, "config", "check", "--config", str(file)]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert 2 == told.returncode
    assert "policies.sums.answer" in told.stderr
    assert "pip install '.[math]' in a checkout" in told.stderr
