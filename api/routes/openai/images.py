"""Images of a conversation: in the request itself, as `data:` URLs; nothing is fetched."""

import base64
import binascii
from collections.abc import Sequence

from api.routes.openai.body import refuse
from api.runtime import Message

MAX_IMAGES = 16
"""Of one conversation."""
ROOM_BYTES = 20 * 2**20
"""What images may add to a body, as base64."""
STARTS = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}
"""How files of each kind begin."""


def require_few_images(messages: Sequence[Message], where: str) -> None:
    """`errors.InvalidOption`, at that member, for more than a conversation may have."""
    if sum(len(message.images) for message in messages) > MAX_IMAGES:
        raise refuse(where, f"At most {MAX_IMAGES} images are allowed.")


def image_of(url: str, where: str) -> bytes:
    """The bytes of an image; `errors.InvalidOption` for what is no `data:` URL of one."""
    head, _, content = url.partition(",")
    kind, _, coding = head.removeprefix("data:").partition(";")
    if not head.startswith("data:") or coding != "base64":
        raise refuse(
            where, "Images are taken as `data:image/...;base64,` URLs; nothing is fetched."
        )
    if kind not in STARTS:
        raise refuse(where, f"One of these is needed: {', '.join(STARTS)}.")
    try:
        image = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise refuse(where, "This is no base64.") from None
    if not image.startswith(STARTS[kind]):
        raise refuse(where, f"This is no {kind}.")
    return image
