import pytest

from benchmarks.programs.stream_client import Decoder

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
RESPONSE = HEAD + b"5\r\nhello\r\nB\r\n, the world\r\n0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_body_is_the_same_however_its_bytes_come(size: int) -> None:
    decoder = Decoder()
    pieces = [decoder.feed(RESPONSE[at : at + size]) for at in range(0, len(RESPONSE), size)]
    assert b"hello, the world" == b"".join(pieces)
    assert decoder.is_at_end


def test_every_whole_chunk_is_given_at_once() -> None:
    decoder = Decoder()
    assert b"hello" == decoder.feed(HEAD + b"5\r\nhello\r\nB\r\n, the")
    assert not decoder.is_at_end


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
    ],
)
def test_what_is_no_stream_is_an_error(head: bytes) -> None:
    with pytest.raises(ValueError, match=r"^HTTP"):
        Decoder().feed(head)
