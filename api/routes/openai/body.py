"""A JSON body as OpenAI's clients send it: unknown members are ignored, a null is as left out."""

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from api.errors import InvalidOption
from api.http.observe import seen
from api.http.request import get_services
from api.http.request_body import read_body

M = TypeVar("M", bound=BaseModel)


def json_body(model: type[M]) -> Callable[[Request], AsyncIterator[Any]]:
    """A dependency that gives `model`; 400 names the member that is wrong."""

    async def read(request: Request) -> AsyncIterator[Any]:
        body = await read_body(request, max_bytes=get_services(request).settings.max_body_bytes)
        members = {name: value for name, value in body.members.items() if value is not None}
        try:
            values = model.model_validate(members)
        except ValidationError as error:
            raise RequestValidationError(error.errors(include_url=False)) from None
        seen().named = getattr(values, "model", None)
        yield values

    return read


def refuse(param: str, why: str) -> InvalidOption:
    """A member that is known and cannot be honoured."""
    return InvalidOption(f"{param}: {why}", where=param)
