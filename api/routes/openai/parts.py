"""The parts of what is said, and what the runtimes take of them: texts, and images for a model that sees."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from api.rag.images import image_of
from api.routes.openai.body import refuse

MAX_PARTS = 1000
"""Of what is said at once."""


class Part(BaseModel):
    """A part: of most kinds no model here takes any."""

    type: str

    @property
    def said(self) -> str | None:
        """Its text."""
        return None

    @property
    def shown(self) -> tuple[str, str] | None:
        """The URL of an image, and the member where it stands."""
        return None


class RefusalPart(Part):
    """What an assistant said instead of an answer."""

    type: Literal["refusal"]
    refusal: str

    @property
    def said(self) -> str:
        """A text like any other."""
        return self.refusal


def content_of(
    content: str | Sequence[Part] | None, where: str, *, sees: bool
) -> tuple[str, tuple[bytes, ...]]:
    """The text of what stands there, its parts joined, and its images; a refusal names the part that is none."""
    if content is None or isinstance(content, str):
        return content or "", ()
    texts: list[str] = []
    images: list[bytes] = []
    for number, part in enumerate(content):
        if part.said is not None:
            texts.append(part.said)
        elif part.shown and sees:
            url, member = part.shown
            images.append(image_of(url, f"{where}.{number}.{member}"))
        else:
            raise refuse(f"{where}.{number}.type", f"This model cannot take {part.type}.")
    return "\n".join(texts), tuple(images)
