"""A multipart form as OpenAI's clients send it: one file, and fields of which unknown ones are ignored."""

import re
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel
from starlette.datastructures import UploadFile

from api.errors import TooLarge
from api.http.request import Upload, get_services
from api.http.request_body import Body, Pairs, invalid, read_body
from api.routes.openai.body import validated

NESTED = re.compile(r"(\w+)\[(\w+)\]")
"""How the SDKs name a member of a member: `expires_after[seconds]`."""
M = TypeVar("M", bound=BaseModel)


def form_body(
    model: type[M], file: str, *, most_bytes: int | None = None
) -> Callable[[Request], AsyncIterator[Upload[M]]]:
    """A dependency that gives `Upload[model]` with the one file of that name, which is closed after the response.

    The file may have the bytes of any upload, or `most_bytes` where that is less.
    """

    async def read(request: Request) -> AsyncIterator[Upload[M]]:
        settings = get_services(request).settings
        most = min(settings.max_upload_bytes, most_bytes or settings.max_upload_bytes)
        body = await read_body(
            request, max_bytes=settings.max_body_bytes, max_file_bytes=most, needed_file="file"
        )
        try:
            uploaded = _only_file(body, file, most)
            yield Upload(validated(model, _members(body.pairs)), {file: uploaded})
        finally:
            await body.close()

    return read


def _members(pairs: Pairs) -> dict[str, Any]:
    """Texts by name, those of a member together; what comes twice is refused, for nobody knows which is meant."""
    members: dict[str, Any] = {}
    for name, text in pairs:
        nested = NESTED.fullmatch(name)
        place = members.setdefault(nested[1], {}) if nested else members
        key = nested[2] if nested else name
        if not isinstance(place, dict) or key in place:
            raise invalid(name, "Given twice.")
        place[key] = text
    return members


def _only_file(body: Body, name: str, most_bytes: int) -> UploadFile:
    found = [file for key, file in body.files if key == name]
    if not found:
        raise invalid(name, "The file is missing: send it as a part of the form, with a file name.")
    if len(found) > 1:
        raise invalid(name, "One file is taken here, and more than one part has this name.")
    if (found[0].size or 0) > most_bytes:
        raise TooLarge(f"The file may have {most_bytes} bytes.", limit_bytes=most_bytes, where=name)
    return found[0]
