"""A JSON body as OpenAI's clients send it: unknown members are ignored, a null is as left out."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from api.errors import InvalidOption
from api.http.observe import seen
from api.http.request import (
    default_of,
    get_caller,
    get_callers_services,
    get_services,
    require_models,
)
from api.http.request_body import read_body
from api.http.wording import in_our_words
from api.models.aliases import plain_name
from api.names import MAX_NAME_CHARACTERS

ERRORS_TOLD = 20
M = TypeVar("M", bound=BaseModel)


class Unsupported(NamedTuple):
    """A member that clients know and nobody here can honour: why, and the values that ask for nothing."""

    why: str
    harmless: tuple[Any, ...] = ()


def json_body(
    model: type[M],
    unsupported: Mapping[str, Unsupported] | None = None,
    *,
    more_bytes: int = 0,
    nulls: Collection[str] = (),
    default_model: bool = False,
) -> Callable[[Request], Awaitable[M]]:
    """A dependency that gives `model`; 400 names the member that is wrong, or `unsupported`.

    `more_bytes` is the room beyond that of other bodies. A null of the members `nulls` says something. With
    `default_model` the settings may name the model that is asked where the body names none.
    """

    async def read(request: Request) -> M:
        most = get_services(request).settings.max_body_bytes + more_bytes
        body = await read_body(request, max_bytes=most, needs_json=True)
        said = body.members.items()
        members = {name: value for name, value in said if value is not None or name in nulls}
        _refuse(members, unsupported or {})
        if default_model and members.get("model") in (None, ""):
            members["model"] = default_of(get_services(request).settings, "model")
        values = await with_plain_name(request, validated(model, members))
        seen().named = getattr(values, "model", None)
        require_models(get_caller(request), getattr(values, "model", None))
        return values

    return read


async def with_plain_name(request: Request, values: M) -> M:
    """A body that names a model by an alias, with its plain name instead."""
    named = getattr(values, "model", None)
    if not isinstance(named, str):
        return values
    plain = await plain_name(get_callers_services(request).store, named)
    return values if plain == named else values.model_copy(update={"model": plain})


async def plain_path(request: Request) -> None:
    """A dependency before all others: the same of a model that is named in the path."""
    if named := request.path_params.get("model"):
        store = get_callers_services(request).store
        request.path_params["model"] = await plain_name(store, named)


class Page(BaseModel):
    """Which part of a list: `limit` of it, behind the thing with the id `after`."""

    after: str | None = Field(None, max_length=MAX_NAME_CHARACTERS)
    limit: int = Field(20, ge=1, le=100)


def query(model: type[M]) -> Callable[[Request], Awaitable[M]]:
    """A dependency that gives `model` from the query, where unknown names are ignored too."""

    async def read(request: Request) -> M:
        return validated(model, request.query_params)

    return read


def validated(model: type[M], members: Mapping[str, Any]) -> M:
    """`model` of what was sent; 400 names what is wrong."""
    try:
        return model.model_validate(dict(members))
    except ValidationError as error:
        raise RequestValidationError(_in_our_words(error, members)) from None


def refuse(param: str, why: str) -> InvalidOption:
    """A member that is known and cannot be honoured."""
    return InvalidOption.at(param, why)


@contextmanager
def as_sent(names: Mapping[str, str]) -> Iterator[None]:
    """A refusal of an option names the member by which the request has it."""
    try:
        yield
    except InvalidOption as error:
        name = names.get(error.extra.get("where", ""))
        if name is None:
            raise
        _, _, why = error.detail.partition(": ")
        raise refuse(name, why or error.detail) from error


def _refuse(members: Mapping[str, Any], unsupported: Mapping[str, Unsupported]) -> None:
    for name, one in unsupported.items():
        value = members.get(name)
        if value is not None and value not in one.harmless:
            raise refuse(name, one.why)


def _in_our_words(error: ValidationError, members: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is wrong, the innermost first: of a value that fits none of several shapes, where it nearly fits one. What
    several shapes want at one place is told as one.
    """
    told: dict[tuple[int | str, ...], dict[str, Any]] = {}
    for one in error.errors(include_url=False, include_input=False)[:ERRORS_TOLD]:
        place, words = tuple(_place(one, members)), in_our_words(one)
        if place not in told:
            told[place] = {**one, "loc": place, "msg": words}
        elif words not in told[place]["msg"]:
            told[place]["msg"] += f" Or: {words}"
    return sorted(told.values(), key=lambda one: -len(one["loc"]))


def _place(error: ErrorDetails, value: Any) -> list[int | str]:
    """Where in the request something is wrong: without what the library says of the shapes that it tried."""
    said, place = error["loc"], list[int | str]()
    for number, part in enumerate(said, start=1):
        is_there = isinstance(value, Mapping) and part in value
        is_there |= isinstance(value, list) and isinstance(part, int) and part < len(value)
        if is_there:
            value = value[part]
        if is_there or (error["type"] == "missing" and number == len(said)):
            place.append(part)
    return place
