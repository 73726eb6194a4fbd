"""The form that an answer must have, which a grammar holds the model to: `response_format`, and `text.format`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.runtime import Options

ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


class PlainText(BaseModel):
    """No form."""

    type: Literal["text"]


class AnyObject(BaseModel):
    """Some JSON object."""

    type: Literal["json_object"]


class Schema(BaseModel):
    """A JSON schema and its name. The answer keeps to it with `strict` and without."""

    model_config = ConfigDict(protected_namespaces=())

    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class BySchema(BaseModel):
    """JSON by a schema."""

    type: Literal["json_schema"]
    json_schema: Schema


class FlatSchema(Schema):
    """JSON by a schema, as responses name it."""

    type: Literal["json_schema"]


TextFormat = Annotated[PlainText | AnyObject | FlatSchema, Field(discriminator="type")]
ResponseFormat = Annotated[PlainText | AnyObject | BySchema, Field(discriminator="type")]


def schema_of(form: ResponseFormat | TextFormat | None) -> Mapping[str, Any] | None:
    """The schema that the answer must match."""
    match form:
        case AnyObject():
            return ANY_OBJECT
        case BySchema():
            return form.json_schema.schema_ or ANY_OBJECT
        case FlatSchema():
            return form.schema_ or ANY_OBJECT
    return None


def must_have_form(options: Options) -> bool:
    """Whether an answer must be JSON or a call, which a refusal in words is not."""
    return options.json_schema is not None or options.tool_choice not in (None, "auto", "none")
