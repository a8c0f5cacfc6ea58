"""Whether an answer rule has what it needs on this machine."""

from functools import cache
from importlib.util import find_spec


@cache
def missing(answer: str) -> str | None:
    """What to install before this rule can be used; None if nothing is missing."""
    if answer != "math" or find_spec("math_verify"):
        return None
    return "math answers need math-verify: pip install '.[math]' in a checkout"
