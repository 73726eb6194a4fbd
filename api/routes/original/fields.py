"""What many requests have: a name, a model's as the customer spells it, a text, and which part of a list is wanted."""

from typing import Annotated

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from api.names import MAX_NAME_CHARACTERS

MAX_TEXT_CHARACTERS = 500_000
"""Some 100,000 tokens; what is longer would only be counted in order to be refused."""

Name = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]
MODEL_NAME = AliasChoices("modelName", "model_name")
BASE_MODEL = AliasChoices("baseModel", "base_model")
HasMore = Annotated[bool, Field(description="Whether the list goes on: ask `after` its last one.")]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "Nothing but white space.")
    return text


Text = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_TEXT_CHARACTERS),
    AfterValidator(_not_blank),
]


class PageRequest(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=1000, description="Most to list.", examples=[20])
    after: Name | None = Field(None, description="Go on behind the one of this id or name.")
