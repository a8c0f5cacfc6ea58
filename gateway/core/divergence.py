"""Where texts that should be the same part."""

from collections.abc import Collection


def divergence(texts: Collection[str]) -> int | None:
    """Characters that all texts share before the first difference; None if there is no difference."""
    if len(set(texts)) <= 1:
        return None
    # The least and the greatest text differ first where any two do.
    least, greatest = min(texts), max(texts)
    shared = next(
        (at for at, pair in enumerate(zip(least, greatest, strict=False)) if pair[0] != pair[1]), None
    )
    return len(least) if shared is None else shared
