"""Bodies that come compressed (`Content-Encoding`), unpacked as they come and within the bound of a plain one."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterable

from api.errors import BadRequest, TooLarge, UnsupportedMediaType

GZIP_OR_ZLIB = zlib.MAX_WBITS + 32
PIECE_BYTES = 2**16
KNOWN = frozenset({"gzip", "x-gzip", "deflate"})
PLAIN = frozenset({"", "identity"})


def is_compressed(encoding: str) -> bool:
    """Whether the body must be unpacked; `errors.UnsupportedMediaType` when we cannot."""
    encoding = encoding.strip().lower()
    if encoding not in KNOWN | PLAIN:
        raise UnsupportedMediaType(
            "The body has a Content-Encoding that is not known here. Send it as gzip or deflate, or as it is."
        )
    return encoding in KNOWN


async def unpacked(chunks: AsyncIterable[bytes], limit: int) -> AsyncGenerator[bytes, None]:
    """The plain bytes in pieces, none where none came; `errors.TooLarge` before they are more than `limit`."""
    unpacker = zlib.decompressobj(GZIP_OR_ZLIB)
    total = 0
    has_begun = False
    try:
        async for packed in chunks:
            has_begun = has_begun or bool(packed)
            plain = b""
            while packed or (len(plain) == PIECE_BYTES and not unpacker.eof):
                if unpacker.eof:  # several may stand one behind the other
                    unpacker = zlib.decompressobj(GZIP_OR_ZLIB)
                plain = unpacker.decompress(packed, PIECE_BYTES)
                packed = unpacker.unconsumed_tail or unpacker.unused_data
                total += len(plain)
                if total > limit:
                    raise TooLarge(f"The body may have {limit} bytes.", limit_bytes=limit)
                yield plain
    except zlib.error:
        raise BadRequest("The body is not compressed as its Content-Encoding says.") from None
    if has_begun and not unpacker.eof:
        raise BadRequest("The compressed body ends before its end.")
