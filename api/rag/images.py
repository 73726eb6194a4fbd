"""Images that a question shows: in the request itself, as `data:` URLs, and within bounds; nothing is ever fetched."""

import base64
import binascii
from collections.abc import Sequence

from api.errors import InvalidOption
from api.runtime import Message, ModelInfo
from api.runtime.images import STARTS, Size, kind_of, size_of
from api.runtime.personas import require_sight

MAX_IMAGES = 16
"""Of one conversation; so are the bounds below."""
MAX_BYTES = 20_000_000
MAX_PIXELS = 64_000_000
"""192 MB, decoded: some kilobytes can say that they are more."""
MAX_SIDE = 16_384
ROOM_BYTES = MAX_BYTES * 4 // 3 + 4096
"""What images may add to a body, as base64."""


def image_of(url: str, where: str) -> bytes:
    """The bytes of an image; `errors.InvalidOption` for what is no `data:` URL of one, or too large."""
    head, _, content = url.partition(",")
    kind, _, coding = head.removeprefix("data:").partition(";")
    if not head.startswith("data:") or coding != "base64":
        raise InvalidOption.at(
            where, "Images are taken as `data:image/...;base64,` URLs; nothing is fetched."
        )
    if kind not in STARTS:
        raise InvalidOption.at(where, f"One of these is needed: {', '.join(STARTS)}.")
    if len(content) > ROOM_BYTES:
        raise InvalidOption.at(where, f"An image may have {MAX_BYTES} bytes.")
    try:
        image = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidOption.at(where, "This is no base64.") from None
    if kind_of(image) != kind:
        raise InvalidOption.at(where, f"This is no {kind}.")
    width, height = _size(image, where)
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise InvalidOption.at(
            where,
            f"This image has {width} x {height} pixels; {MAX_PIXELS} are allowed, and {MAX_SIDE} a side. Make it "
            "smaller.",
        )
    return image


def require_bounded(messages: Sequence[Message], where: str) -> None:
    """`errors.InvalidOption`, at that member, for more images than a conversation may have, or larger ones together."""
    images = [image for message in messages for image in message.images]
    if len(images) > MAX_IMAGES:
        raise InvalidOption.at(where, f"{len(images)} images; {MAX_IMAGES} are allowed.")
    if (together := sum(map(len, images))) > MAX_BYTES:
        raise InvalidOption.at(
            where, f"Images of {together} bytes together; {MAX_BYTES} are allowed."
        )
    pixels = sum(width * height for width, height in (_size(image, where) for image in images))
    if pixels > MAX_PIXELS:
        raise InvalidOption.at(
            where, f"Images of {pixels} pixels together; {MAX_PIXELS} are allowed."
        )


def require_seen(model: ModelInfo, messages: Sequence[Message], where: str) -> None:
    """`errors.InvalidOption` for images that the model does not see, or too many of them."""
    require_sight(model, messages)
    require_bounded(messages, where)


def _size(image: bytes, where: str) -> Size:
    size = size_of(image)
    if size is None:
        raise InvalidOption.at(
            where, "This image is damaged: its header does not say how large it is."
        )
    return size
