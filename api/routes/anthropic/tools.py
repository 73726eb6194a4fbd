"""The functions that a model may call, and which of them it must, in Anthropic's form."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.routes.openai.body import refuse
from api.routes.openai.tools import (
    Chosen,
    Function,
    FunctionName,
    Offered,
    known_functions,
    named,
    of_all,
)


class Tool(BaseModel):
    """A function: its name, what it does, and an object schema of what it takes."""

    type: str = Field("custom", max_length=100)
    name: FunctionName
    description: str | None = None
    input_schema: dict[str, Any] | None = None


class AnyChoice(BaseModel):
    """As the model likes, some call, or none."""

    type: Literal["auto", "any", "none"]
    disable_parallel_tool_use: bool = False


class ToolChoice(BaseModel):
    """A call of that one."""

    type: Literal["tool"]
    name: FunctionName
    disable_parallel_tool_use: bool = False


Choice = Annotated[AnyChoice | ToolChoice, Field(discriminator="type")]


def chosen(tools: Sequence[Tool], choice: Choice | None) -> Chosen:
    """What may be called and what must, as the runtimes take it."""
    known = known_functions([_offered(tool, f"tools.{n}") for n, tool in enumerate(tools)])
    match choice:
        case None:
            return of_all(known, None)
        case ToolChoice():
            return named(known, choice.name, "tool_choice.name")
    return of_all(known, "required" if choice.type == "any" else choice.type)


def _offered(tool: Tool, where: str) -> Offered:
    if tool.type != "custom":
        raise refuse(f"{where}.type", "Only tools of your own are taken: leave `type` out.")
    if (tool.input_schema or {}).get("type") != "object":
        raise refuse(f"{where}.input_schema", "A schema of `type: object` is needed.")
    function = Function(name=tool.name, description=tool.description, parameters=tool.input_schema)
    return Offered(where, function)
