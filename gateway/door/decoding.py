"""Bodies that were compressed on their way (RFC 9110, section 8.4)."""

import zlib

from gateway.errors import BadRequest, TooLarge, UnsupportedEncoding

_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's words for its formats


def decode(body: bytes, coding: str, limit: int) -> bytes:
    """The body as it was; TooLarge over `limit` bytes, BadRequest if it is not what its coding says."""
    coding = coding.strip().lower()
    if coding in {"", "identity"}:
        return body
    if coding in {"gzip", "x-gzip"}:
        return _inflate(body, _GZIP, limit)
    if coding == "deflate":  # zlib's format; some send the bare stream (RFC 9110, section 8.4.1.2)
        is_zlib = body[:1] and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
        return _inflate(body, _ZLIB if is_zlib else _RAW, limit)
    raise UnsupportedEncoding(
        f"content-encoding {coding!r} is not understood; gzip and deflate are",
        headers=(("accept-encoding", "gzip, deflate"),),
    )


def _inflate(body: bytes, form: int, limit: int) -> bytes:
    inflating = zlib.decompressobj(form)
    try:
        whole = inflating.decompress(body, limit + 1)
    except zlib.error as error:
        raise BadRequest(f"the body is not what its content-encoding says: {error}") from error
    if len(whole) > limit:
        raise TooLarge("the body is over limits.max_body")
    if not inflating.eof or inflating.unused_data:
        raise BadRequest("the body is not what its content-encoding says: it does not end where it should")
    return whole
