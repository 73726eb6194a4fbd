"""Images that a question shows, as a field of it: `data:` URLs, for a model that sees."""

from pydantic import Field

from api.rag.images import MAX_IMAGES, image_of

Images = tuple[str, ...]
IMAGES = Field(
    (),
    max_length=MAX_IMAGES,
    description="Images that the user shows a model that sees: PNG, JPEG, GIF or WebP, as "
    "`data:image/png;base64,...` URLs. Nothing is fetched.",
)


def images_of(urls: Images, where: str) -> tuple[bytes, ...]:
    """Their bytes; `errors.InvalidOption` names the one that is none."""
    return tuple(image_of(url, f"{where}.{number}") for number, url in enumerate(urls))
