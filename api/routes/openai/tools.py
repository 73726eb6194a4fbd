"""The functions that a model may call, and which of them it must, in OpenAI's form."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Field, StringConstraints

from api.routes.openai.body import refuse
from api.runtime import ModelInfo, Options

MAX_TOOLS = 128
NO_TOOLS = "This model's template knows no tools, so none were offered to it."
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


class Offered(NamedTuple):
    """A function, and where in the request it stands."""

    where: str
    function: Function


class Chosen(NamedTuple):
    """The tools that the model is told, and the choice as the runtimes take it."""

    tools: tuple[Mapping[str, Any], ...] | None
    choice: str | None


def offered(
    options: Options, choice: BaseModel | str | None, model: ModelInfo
) -> tuple[Options, str]:
    """The options for that model, and a notice for who asks: tools that its template does not know are not told to it
    where the request says nothing of a choice. Some clients offer some with each question.
    """
    if choice is None and options.tools and "tools" not in model.capabilities:
        return replace(options, tools=(), parallel_tool_calls=None), NO_TOOLS
    return options, ""


def chosen(tools: Sequence[Tool], choice: Choice | None) -> Chosen:
    """What may be called and what must; no tools at all are as none told, a choice of one of them is refused."""
    known = known_functions(
        [Offered(f"tools.{n}.function", one.function) for n, one in enumerate(tools)]
    )
    match choice:
        case NamedTool():
            return named(known, choice.function.name, "tool_choice.function.name")
        case AllowedChoice():
            places = "tool_choice.allowed_tools.tools"
            names = {
                f"{places}.{n}.function.name": tool.function.name
                for n, tool in enumerate(choice.allowed_tools.tools)
            }
            return allowed(known, names, choice.allowed_tools.mode)
    return of_all(known, choice)


def known_functions(functions: Sequence[Offered]) -> dict[str, Mapping[str, Any]]:
    """The functions as the runtimes take them, by their names; one that is no function is refused."""
    known: dict[str, Mapping[str, Any]] = {}
    for where, function in functions:
        if function.name in known:
            raise refuse(f"{where}.name", f"{function.name!r} is given twice.")
        parameters = function.parameters or NO_PARAMETERS
        if parameters.get("type") != "object":
            raise refuse(f"{where}.parameters", "A schema of `type: object` is needed.")
        said = function.model_dump(include={*Function.model_fields}, exclude_none=True)
        known[function.name] = {"type": "function", "function": {**said, "parameters": parameters}}
    return known


def of_all(known: Mapping[str, Mapping[str, Any]], choice: str | None) -> Chosen:
    """All of them, and `none`, `auto` or `required`."""
    if choice == "required" and not known:
        raise refuse("tool_choice", "A call is required, and `tools` names none.")
    return Chosen(tuple(known.values()), choice) if known else Chosen(None, None)


def named(known: Mapping[str, Mapping[str, Any]], name: str, where: str) -> Chosen:
    """All of them, and the one that must be called."""
    _require_known(name, known, where)
    return Chosen(tuple(known.values()), name)


def allowed(known: Mapping[str, Mapping[str, Any]], names: Mapping[str, str], mode: str) -> Chosen:
    """Some of them, named at these places of the request."""
    for where, name in names.items():
        _require_known(name, known, where)
    kept = {*names.values()}
    return Chosen(tuple(known[name] for name in known if name in kept), mode)


def _require_known(name: str, known: Mapping[str, Any], where: str) -> None:
    if name not in known:
        raise refuse(where, f"No tool is named {name!r}. There are: {', '.join(known) or 'none'}.")
