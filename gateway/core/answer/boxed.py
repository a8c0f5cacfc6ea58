r"""The last `\boxed{…}` of a text."""

import re

_BRACES = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)


def last_boxed(text: str) -> str | None:
    r"""What stands in the last `\boxed{…}` whose braces balance, stripped of white space; None if nothing does.

    Escaped braces do not count. Of boxes in a box it is the inner one, as for lm-evaluation-harness.
    """
    opened: list[tuple[int, bool]] = []  # where its content begins, and whether it is a box
    start, end = -1, -1
    for brace in _BRACES.finditer(text):
        if brace[0] == "{" or brace[0].startswith("\\boxed"):
            opened.append((brace.end(), brace[0] != "{"))
        elif brace[0] == "}" and opened:
            began, is_box = opened.pop()
            if is_box and began > start:
                start, end = began, brace.start()
    return text[start:end].strip() or None if start >= 0 else None
