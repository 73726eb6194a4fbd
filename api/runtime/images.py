"""Images of a conversation: which kinds there are, and how large one is, by its first bytes; none is decoded here."""

import base64
import struct
from collections.abc import Callable
from typing import Any

from api.errors import InvalidOption
from api.runtime import Message

STARTS = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}
"""How files of each kind begin."""
MAX_SEGMENTS = 1000
"""Of a JPEG before its picture: profiles and previews take some hundred at most."""
Size = tuple[int, int]
"""Width and height."""


def parts(message: Message) -> list[dict[str, Any]]:
    """What is said and shown in OpenAI's words. Of an image its bytes and no address: a server would fetch that."""
    text = [{"type": "text", "text": message.content}] if message.content else []
    return [*text, *(_part(image) for image in message.images)]


def kind_of(image: bytes) -> str | None:
    """Its media type, or none that is known."""
    return next((kind for kind, starts in STARTS.items() if image.startswith(starts)), None)


def size_of(image: bytes) -> Size | None:
    """What its header says; None where it ends before that, or says none."""
    read = _READERS.get(kind_of(image) or "")
    try:
        size = read(image) if read else None
    except (struct.error, IndexError):
        return None
    return size if size and min(size) > 0 else None


def _part(image: bytes) -> dict[str, Any]:
    kind = kind_of(image)
    if kind is None:
        raise InvalidOption("images: only PNG, JPEG, GIF and WebP can be sent.", where="messages")
    data = base64.b64encode(image).decode()
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}


def _png(image: bytes) -> Size | None:
    width, height = struct.unpack_from(">II", image, 16)
    return (width, height) if image[8:16] == b"\0\0\0\x0dIHDR" else None


def _gif(image: bytes) -> Size | None:
    width, height = struct.unpack_from("<HH", image, 6)
    return width, height


def _jpeg(image: bytes) -> Size | None:
    """The size stands in the first start of a frame; what comes before it says how long it is."""
    at = 2
    for _ in range(MAX_SEGMENTS):
        at = image.find(b"\xff", at)
        if at < 0:
            return None
        marker, at = image[at + 1], at + 2
        if marker == 0xFF:  # one that fills
            at -= 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # they stand alone
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", image, at + 3)
            return width, height
        if marker in (0xD9, 0xDA):  # the end, or the picture itself
            return None
        (length,) = struct.unpack_from(">H", image, at)
        at += max(length, 2)
    return None


def _webp(image: bytes) -> Size | None:
    match image[8:16]:
        case b"WEBPVP8X":
            width, height = (int.from_bytes(image[at : at + 3], "little") for at in (24, 27))
            return (width + 1, height + 1) if len(image) >= 30 else None
        case b"WEBPVP8L":
            (packed,) = struct.unpack_from("<I", image, 21)
            return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        case b"WEBPVP8 ":
            width, height = struct.unpack_from("<HH", image, 26)
            return width & 0x3FFF, height & 0x3FFF
    return None


_READERS: dict[str, Callable[[bytes], Size | None]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/webp": _webp,
}
