"""The tools that a response may use, and which of them it must, in the form of responses."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Discriminator, Field, Tag

from api.routes.openai.body import refuse
from api.routes.openai.tools import (
    MAX_TOOLS,
    Chosen,
    Function,
    FunctionName,
    Offered,
    allowed,
    known_functions,
    named,
    of_all,
)
from api.vector_stores.filters import Filter

MAX_STORES = 20


class FunctionTool(Function):
    """A function."""

    type: Literal["function"]


class RankingOptions(BaseModel):
    """How well a passage must fit, from 0 to 1; who ranks is not chosen."""

    ranker: str | None = None
    score_threshold: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)


class FileSearchTool(BaseModel):
    """A search in vector stores."""

    type: Literal["file_search"]
    vector_store_ids: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=256)]], Field(fail_fast=True)
    ] = Field(min_length=1, max_length=MAX_STORES)
    max_num_results: int | None = Field(None, ge=1, le=50)
    ranking_options: RankingOptions | None = None
    filters: Filter | None = None


class OtherTool(BaseModel):
    """What OpenAI runs itself."""

    type: str = Field(min_length=1, max_length=64)


def _kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return kind if isinstance(kind, str) and kind in ("function", "file_search") else "other"


Tool = Annotated[
    Annotated[FunctionTool, Tag("function")]
    | Annotated[FileSearchTool, Tag("file_search")]
    | Annotated[OtherTool, Tag("other")],
    Discriminator(_kind),
]


class NamedFunction(BaseModel):
    """A function by its name."""

    type: Literal["function"]
    name: FunctionName


class SearchChoice(BaseModel):
    """The search."""

    type: Literal["file_search"]


NamedTool = Annotated[NamedFunction | SearchChoice, Field(discriminator="type")]


class AllowedTools(BaseModel):
    """Some of the tools, and whether one of them must be used."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[NamedTool] = Field(min_length=1, max_length=MAX_TOOLS)


Choice = (
    Literal["none", "auto", "required"]
    | Annotated[NamedFunction | SearchChoice | AllowedTools, Field(discriminator="type")]
)


class Plan(NamedTuple):
    """What a response does with its tools: it may search first, and is then told functions and how to choose."""

    search: FileSearchTool | None
    functions: Chosen
    may_search: bool = True
    """Also where no stores are named, and the model has a collection of its own."""


NO_FUNCTIONS = Chosen(None, None)


def planned(tools: Sequence[Tool], choice: Choice | None) -> Plan:
    """Where a search is allowed, it is made: then it is what was `required`, and the model may call a function or not.
    One function that is named is called without it, and where the search is named no function is told.
    """
    search = _search(tools)
    known = known_functions(
        [
            Offered(f"tools.{number}", tool)
            for number, tool in enumerate(tools)
            if isinstance(tool, FunctionTool)
        ]
    )
    match choice:
        case NamedFunction():
            return Plan(None, named(known, choice.name, "tool_choice.name"), may_search=False)
        case SearchChoice():
            _require_search(search, "tool_choice.type")
            return Plan(search, NO_FUNCTIONS)
        case AllowedTools():
            names = {
                f"tool_choice.tools.{number}.name": tool.name
                for number, tool in enumerate(choice.tools)
                if isinstance(tool, NamedFunction)
            }
            searches = len(names) < len(choice.tools)
            if searches:
                _require_search(search, "tool_choice.tools")
            mode = "auto" if searches else choice.mode
            functions = allowed(known, names, mode) if names else NO_FUNCTIONS
            return Plan(search if searches else None, functions, may_search=searches)
        case "none":
            return Plan(None, of_all(known, choice), may_search=False)
    return Plan(search, of_all(known, "auto" if search and choice else choice))


def _search(tools: Sequence[Tool]) -> FileSearchTool | None:
    found: FileSearchTool | None = None
    for number, tool in enumerate(tools):
        if isinstance(tool, FileSearchTool):
            if found is not None:
                raise refuse(
                    f"tools.{number}", "One file_search is enough: it takes several vector stores."
                )
            found = tool
        elif not isinstance(tool, FunctionTool):
            raise refuse(
                f"tools.{number}.type",
                f"There is no {tool.type!r} here. There are: function, file_search.",
            )
    return found


def _require_search(search: FileSearchTool | None, where: str) -> None:
    if search is None:
        raise refuse(where, "`tools` has no file_search.")
