"""Where texts that should be the same part."""

from collections.abc import Collection


def divergence(texts: Collection[str]) -> int | None:
    """Characters that all texts share before the first difference; None if there is no difference."""
    if len(set(texts)) <= 1:
        return None
    # The least and the greatest text differ first where any two do.
    least, greatest = min(texts), max(texts)
    same, end = 0, len(least)  # so many characters are the same, and no more than so many
    while same < end:
        middle = (same + end + 1) // 2
        if least[same:middle] == greatest[same:middle]:
            same = middle
        else:
            end = middle - 1
    return same
