import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.torch.text import REPLACEMENT, Detokenizer, StopScanner


def decode_bytes(tokens: object) -> str:
    """A tokenizer of single bytes, as the demo's is."""
    return bytes(tokens).decode(errors="replace")  # type: ignore[call-overload, no-any-return]


def pieces(raw: bytes) -> list[str]:
    detokenizer = Detokenizer(decode_bytes)
    return [*(detokenizer.push(byte) for byte in raw), detokenizer.flush()]


@given(st.text())
def test_characters_are_never_shown_in_part(text: str) -> None:
    """However many bytes a character has, it comes whole, and the pieces make the text."""
    shown = pieces(text.encode())

    assert text == "".join(shown)
    if REPLACEMENT not in text:
        assert not any(REPLACEMENT in piece for piece in shown)


@given(st.binary(max_size=60))
def test_broken_bytes_read_alike_in_pieces_and_at_once(raw: bytes) -> None:
    """Bytes that are no text give the same replacement characters streamed as decoded at once."""
    assert raw.decode(errors="replace") == "".join(pieces(raw))


def test_garbage_does_not_stall_a_stream() -> None:
    """A long run of broken bytes is shown while it goes on, three characters behind at most."""
    detokenizer = Detokenizer(decode_bytes)

    shown = "".join(detokenizer.push(0xFF) for _ in range(100))

    assert 97 == len(shown)


@pytest.mark.parametrize(
    ("text", "stops", "shown", "reason"),
    [
        ("hello world", [], "hello world", None),
        ("hello world", ["xyz"], "hello world", None),
        ("hello world", ["o"], "hell", "o"),
        ("hello world", ["wor"], "hello ", "wor"),
        ("hello world", ["world", "wo"], "hello ", "wo"),
        ("hello world", ["d", "world"], "hello ", "world"),
        ("hello", ["hello"], "", "hello"),
        ("hello", ["hello!"], "hello", None),
        ("aaab", ["aab"], "a", "aab"),
        ("abcd", ["abcd", "c"], "ab", "c"),
        ("a\n\nb", ["\n\n"], "a", "\n\n"),
        ("12\n#### 3", ["####", "###x"], "12\n", "####"),
    ],
)
def test_stop_strings(text: str, stops: list[str], shown: str, reason: str | None) -> None:
    """Text ends before the first stop string completed, fed whole, byte by byte or in pairs."""
    for size in (len(text), 1, 2):
        scanner = StopScanner(stops)
        seen, found = "", None
        for at in range(0, len(text), size):
            piece, found = scanner.push(text[at : at + size])
            seen += piece
            if found is not None:
                break
        else:
            seen += scanner.flush()
        assert (shown, reason) == (seen, found), f"fed {size} at a time"


@given(
    st.text(alphabet="ab", max_size=12),
    st.lists(st.text(alphabet="ab", min_size=1, max_size=4), max_size=3),
)
def test_no_piece_holds_any_of_a_stop_string_that_follows(text: str, stops: list[str]) -> None:
    """What is shown is final: at every moment it is a beginning of what is shown in the end."""
    scanner = StopScanner(stops)
    moments, found = [""], None
    for character in text:
        piece, found = scanner.push(character)
        moments.append(moments[-1] + piece)
        if found is not None:
            break
    final = moments[-1] if found is not None else moments[-1] + scanner.flush()

    cuts = [text.find(stop) for stop in stops if stop in text]
    assert (found is not None) == bool(cuts)
    assert all(final.startswith(moment) for moment in moments)
    assert not any(stop in final for stop in stops)
