"""Raw values of a request as one pydantic model; `openapi.py` describes such a request.

A field may be spelled by its name or any of its aliases, may stand in the query and in the body,
and may be given twice as long as both say the same.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Generic, TypeVar, get_args

from annotated_types import MinLen
from fastapi.exceptions import RequestValidationError
from pydantic import AliasChoices, BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from api.http.request_body import Pairs, invalid, json_value
from api.http.wording import in_our_words

M = TypeVar("M", bound=BaseModel)

LIKE = 0.7
"""How alike two names are, as `difflib` measures it, of which one may be meant by the other."""
MOST_COMPARED = 40
"""Characters of an unknown name that are compared: no known name has more."""
GUESSED = 20
"""Unknown names of which the meant ones are looked for, as many as a refusal tells of: a body may have thousands."""


class _Field:
    """One field: its spellings, the documented one first, and how to read its values."""

    def __init__(self, name: str, info: FieldInfo) -> None:
        self.name = name
        self.spellings = _spellings(name, info)
        self.is_required = info.is_required()
        annotated: Any = Annotated[info.annotation, *info.metadata, None]
        self._adapter: TypeAdapter[Any] = TypeAdapter(annotated)
        types = _json_types(self._adapter.json_schema())
        self.inner = _model_in(info.annotation)
        self._members = _by_spelling(self.inner) if self.inner else {}
        self._may_be_empty = info.is_required() or MinLen(0) in info.metadata
        self.is_text = "string" in types
        self.is_list = "array" in types and self.inner is None
        self.is_json = self.inner is not None or "object" in types

    def is_left_out(self, value: Any, is_json: bool) -> bool:
        """A null, a text without anything in it, and an empty list of texts.

        In JSON an empty text counts where a field is required or says `min_length=0`.
        """
        if isinstance(value, str):
            is_empty = not (value if self.is_text or self.is_list else value.strip())
            return is_empty and not (is_json and self._may_be_empty)
        return value is None if is_json else not value

    def from_text(self, value: str | list[str]) -> Any:
        """Read what a query or a form gave."""
        if self.is_json and isinstance(value, str):
            return self.from_json(json_value(value, self.spellings[0]))
        read = self._adapter.validate_python(value)
        if isinstance(read, float) and not math.isfinite(read):
            raise invalid(self.spellings[0], "The number is out of range.")
        return read

    def from_json(self, value: Any) -> Any:
        """Read what a JSON body gave; types must match."""
        return self._adapter.validate_json(_JSON.dump_json(self._filled(value)), strict=True)

    def _filled(self, value: Any) -> Any:
        """The value without what is left out in it: texts of a list, members of an object."""
        if isinstance(value, list):
            return [self._filled(one) for one in value if one != "" or not self.is_list]
        if isinstance(value, dict) and self.inner:
            return {
                name: self._members[name]._filled(member) if name in self._members else member
                for name, member in value.items()
                if not _is_left_out(self._members, name, member, True)
            }
        return value

    def error(self, spelling: str, found: ErrorDetails, *, guess: bool) -> dict[str, Any]:
        """What is wrong with a value of this field, in our words where we have better ones."""
        message = in_our_words(found)
        if found["type"] == "extra_forbidden" and self.inner is not None:
            message = unknown(self.inner, str(found["loc"][-1]), guess=guess)
        return _error(spelling, message, *found["loc"])


_JSON: TypeAdapter[Any] = TypeAdapter(Any)


class RequestFields(Generic[M]):
    """The fields of one request model."""

    def __init__(self, model: type[M]) -> None:
        self._model = model
        self._by_spelling = _by_spelling(model)
        self._fields = list(dict.fromkeys(self._by_spelling.values()))

    def parse(self, pairs: Sequence[Pairs], members: Mapping[str, Any]) -> M:
        """The model from text values (a list of pairs a source) and JSON members.

        Raises `RequestValidationError` naming each field that is unknown, missing, wrong, or given
        twice and different.
        """
        errors: list[dict[str, Any]] = []
        values: dict[str, Any] = {}
        for spelling, value, is_json in self._given(pairs, members):
            field = self._by_spelling.get(spelling)
            if field is None:
                told = unknown(self._model, spelling, guess=len(errors) < GUESSED)
                errors.append(_error(spelling, told))
                continue
            try:
                read = field.from_json(value) if is_json else field.from_text(value)
            except ValidationError as error:
                errors += [
                    field.error(spelling, one, guess=at < GUESSED)
                    for at, one in enumerate(error.errors())
                ]
            else:
                if values.setdefault(field.name, read) != read:
                    errors.append(_error(spelling, "Given twice with different values."))
        wrong = {error["loc"][0] for error in errors}
        for field in self._fields:
            if field.is_required and field.name not in values and not wrong & {*field.spellings}:
                errors.append(_error(field.spellings[0], "Required, but not given."))
        if errors:
            raise RequestValidationError(errors)
        try:
            return self._model.model_validate(values, by_name=True)
        except ValidationError as error:
            raise RequestValidationError(error.errors(include_input=False)) from None

    def _given(
        self, sources: Sequence[Pairs], members: Mapping[str, Any]
    ) -> list[tuple[str, Any, bool]]:
        given: list[tuple[str, Any, bool]] = []
        for pairs in sources:
            lists: dict[str, list[str]] = {}
            for spelling, text in pairs:
                field = self._by_spelling.get(spelling)
                if field is not None and field.is_list:
                    lists.setdefault(spelling, []).extend([text] if text else [])
                else:
                    given.append((spelling, text, False))
            given += [(spelling, texts, False) for spelling, texts in lists.items()]
        given += [(spelling, value, True) for spelling, value in members.items()]
        return [one for one in given if not _is_left_out(self._by_spelling, *one)]


def _by_spelling(model: type[BaseModel]) -> dict[str, _Field]:
    fields = [_Field(name, info) for name, info in model.model_fields.items()]
    return {spelling: field for field in fields for spelling in field.spellings}


def _is_left_out(fields: Mapping[str, _Field], spelling: str, value: Any, is_json: bool) -> bool:
    field = fields.get(spelling)
    return field is not None and field.is_left_out(value, is_json)


def unknown(model: type[BaseModel], spelling: str, *, guess: bool) -> str:
    """What to say of a field that the model does not have; its `elsewhere` may know what is meant, else `guess`."""
    known = [_spellings(name, info)[0] for name, info in model.model_fields.items()]
    meant = getattr(model, "elsewhere", {}).get(spelling)
    pointer = f"Use {meant}. " if meant else ""
    if guess and not meant and (near := _near(spelling, known)):
        pointer = f"Did you mean {near}? "
    return f"Unknown. {pointer}Known are: {', '.join(known)}."


def _near(spelling: str, known: Sequence[str]) -> str:
    """The known name that was mistyped or cut short, if one is near."""
    near = difflib.get_close_matches(spelling[:MOST_COMPARED], known, 1, cutoff=LIKE)
    cut = [name for name in known if len(spelling) > 2 and name.startswith(spelling)]
    return next(iter([*near, *cut]), "")


def _spellings(name: str, info: FieldInfo) -> list[str]:
    alias = info.validation_alias or info.alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return list(dict.fromkeys([*(c for c in choices if isinstance(c, str)), name]))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field's values are, or hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(argument) for argument in get_args(annotation))
    return next((model for model in inner if model), None)


def _error(where: str, message: str, *inside: str | int) -> dict[str, Any]:
    return {"type": "invalid", "loc": (where, *inside), "msg": message}


def _json_types(schema: Mapping[str, Any]) -> set[str]:
    if "$ref" in schema:
        return {"object"}
    types = {schema["type"]} if isinstance(schema.get("type"), str) else set()
    return types.union(*(_json_types(part) for part in schema.get("anyOf", ())))
