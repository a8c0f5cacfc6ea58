"""A text without the differences that nobody sees: accents composed, white space collapsed."""

from unicodedata import combining, normalize

_MOST = 30  # marks in a row: the bound of Unicode's stream-safe texts (UAX 15, section 13), which no language reaches
_PILE = b"\1" * (_MOST + 1)
_IS_MARK = b"\0" + b"\1" * 255  # by combining class
_PAIRS = "\u0f73\u0f75\u0f81"  # of two marks each, though their own class is 0; there are no others


def folded(text: str) -> str:
    """The text in NFC, with single spaces inside and none around.

    Composing sorts marks that follow each other, in time quadratic in their number. So a text with more than 30
    in a row is left as it is, but for its white space: it equals nothing but its copies.
    """
    if not text.isascii() and not _piles_up_marks(text):
        text = normalize("NFC", text)
    return " ".join(text.split())


def _piles_up_marks(text: str) -> bool:
    for pair in _PAIRS:
        text = text.replace(pair, "\u0f71\u0f72")
    return _PILE in bytes(map(combining, text)).translate(_IS_MARK)
