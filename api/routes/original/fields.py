"""Fields that many requests have: a name, how the customer spells a model's, and which part of a list is wanted."""

from typing import Annotated

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from api.names import MAX_NAME_CHARACTERS

Name = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]
MODEL_NAME = AliasChoices("modelName", "model_name")
BASE_MODEL = AliasChoices("baseModel", "base_model")
HasMore = Annotated[bool, Field(description="Whether the list goes on: ask `after` its last one.")]


class PageRequest(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=1000, description="Most to list.", examples=[20])
    after: Name | None = Field(None, description="Go on behind the one of this id or name.")
