"""A page of a list as OpenAI's clients read it."""

from collections.abc import Mapping, Sequence
from typing import Any


def page(objects: Sequence[Mapping[str, Any]], has_more: bool) -> dict[str, Any]:
    """The clients go on behind the last one's `id` for as long as there are more."""
    return {
        "object": "list",
        "data": objects,
        "first_id": objects[0]["id"] if objects else "",
        "last_id": objects[-1]["id"] if objects else "",
        "has_more": has_more,
    }
