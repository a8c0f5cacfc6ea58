"""The letter that a multiple-choice answer names."""

import re

_BRACKETED = re.compile(r"\(\s*([A-H])\s*\)|\[\s*([A-H])\s*\]|\{\s*\(?([A-H])\)?\s*\}")

# Alone: in no word, abbreviation, range, grade or contraction (B2, A-level, U.S.A., C++, D'Arcy).
_BARE = re.compile(r"(?<![\w.'\u2019&/+#\u2013-])([A-H])(?![\w'\u2019&/+#\u2013-]|\.\w)")

# "A cat", where a sentence begins: the article, unless "A is" follows.
_ARTICLE_BEFORE = re.compile(r"(?:^|[.!?:\n])[\s*_\"“]*\Z")
_ARTICLE_AFTER = re.compile(r"\s+(?!is\b)[a-z]")


def last_choice(text: str) -> str | None:
    """The last of A to H in brackets, else the last that stands alone; None if no letter does."""
    bracketed = list(_BRACKETED.finditer(text))
    if bracketed:
        return next(letter for letter in bracketed[-1].groups() if letter)
    bare = [match for match in _BARE.finditer(text) if not _is_article(text, match)]
    return bare[-1][1] if bare else None


def _is_article(text: str, match: re.Match[str]) -> bool:
    if match[1] != "A" or not _ARTICLE_AFTER.match(text, match.end()):
        return False
    return _ARTICLE_BEFORE.search(text[max(0, match.start() - 16) : match.start()]) is not None
