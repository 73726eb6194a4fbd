"""The functions that a model may call, and which of them it must, in OpenAI's form."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Field, StringConstraints

from api.routes.openai.body import refuse

MAX_TOOLS = 128
FunctionName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}


class Function(BaseModel):
    """A function: its name, what it does, and an object schema of what it takes. Left out, it takes nothing.

    Arguments keep to the schema with `strict` and without.
    """

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(BaseModel):
    """A tool, which is a function."""

    type: Literal["function"]
    function: Function


class NamedFunction(BaseModel):
    """A function by its name."""

    name: FunctionName


class NamedTool(BaseModel):
    """A tool by its name."""

    type: Literal["function"]
    function: NamedFunction


class AllowedTools(BaseModel):
    """Some of the tools, and whether one of them must be called."""

    mode: Literal["auto", "required"]
    tools: list[NamedTool] = Field(min_length=1, max_length=MAX_TOOLS)


class AllowedChoice(BaseModel):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


Choice = (
    Literal["none", "auto", "required"]
    | Annotated[NamedTool | AllowedChoice, Field(discriminator="type")]
)


class Chosen(NamedTuple):
    """The tools that the model is told, and the choice as the runtimes take it."""

    tools: tuple[Mapping[str, Any], ...] | None
    choice: str | None


def chosen(tools: Sequence[Tool], choice: Choice | None) -> Chosen:
    """What may be called and what must; no tools at all are as none told, a choice of one of them is refused."""
    known = _by_name(tools)
    match choice:
        case NamedTool():
            name = choice.function.name
            _require_known(name, known, "tool_choice.function.name")
            return Chosen(tuple(known.values()), name)
        case AllowedChoice():
            allowed = choice.allowed_tools
            for number, tool in enumerate(allowed.tools):
                where = f"tool_choice.allowed_tools.tools.{number}.function.name"
                _require_known(tool.function.name, known, where)
            names = {tool.function.name for tool in allowed.tools}
            return Chosen(tuple(known[name] for name in known if name in names), allowed.mode)
    if choice == "required" and not known:
        raise refuse("tool_choice", "A call is required, and `tools` names none.")
    return Chosen(tuple(known.values()), choice) if known else Chosen(None, None)


def _by_name(tools: Sequence[Tool]) -> dict[str, Mapping[str, Any]]:
    known: dict[str, Mapping[str, Any]] = {}
    for number, tool in enumerate(tools):
        function = tool.function
        if function.name in known:
            raise refuse(f"tools.{number}.function.name", f"{function.name!r} is given twice.")
        parameters = function.parameters or NO_PARAMETERS
        if parameters.get("type") != "object":
            raise refuse(
                f"tools.{number}.function.parameters", "A schema of `type: object` is needed."
            )
        said = {**function.model_dump(exclude_none=True), "parameters": parameters}
        known[function.name] = {"type": "function", "function": said}
    return known


def _require_known(name: str, known: Mapping[str, Any], where: str) -> None:
    if name not in known:
        raise refuse(where, f"No tool is named {name!r}. There are: {', '.join(known) or 'none'}.")
