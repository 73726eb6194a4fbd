"""The turns of a conversation in OpenAI's form, as the runtimes take them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.rag.images import require_bounded
from api.routes.openai.body import refuse
from api.routes.openai.parts import MAX_PARTS, Part, RefusalPart, content_of
from api.runtime import Message, Role, ToolCall


class TextPart(Part):
    """A part of a turn."""

    type: Literal["text"]
    text: str

    @property
    def said(self) -> str:
        """Itself."""
        return self.text


class ImageURL(BaseModel):
    """Where an image is, which is in the URL itself; how closely to look is the model's."""

    url: str


class ImagePart(Part):
    """An image, for a model that sees."""

    type: Literal["image_url"]
    image_url: ImageURL

    @property
    def shown(self) -> tuple[str, str]:
        """As it is sent."""
        return self.image_url.url, "image_url.url"


class OtherPart(Part):
    """A sound, a file: what no model here takes."""

    type: Literal["input_audio", "file"]


AnyPart = Annotated[TextPart | RefusalPart | ImagePart | OtherPart, Field(discriminator="type")]


class CalledFunction(BaseModel):
    """The function of a call and its arguments, as JSON in a text."""

    name: str = Field(min_length=1, max_length=256)
    arguments: str = ""


class Call(BaseModel):
    """A call that an assistant asked for."""

    id: str = Field(min_length=1, max_length=256)
    type: Literal["function"] = "function"
    function: CalledFunction


class Turn(BaseModel):
    """One turn. A developer's is a system's."""

    role: Literal["developer", "system", "user", "assistant", "tool"]
    content: str | Annotated[list[AnyPart], Field(fail_fast=True, max_length=MAX_PARTS)] | None = (
        None
    )
    tool_calls: Annotated[list[Call], Field(fail_fast=True, max_length=128)] | None = None
    tool_call_id: str | None = Field(None, max_length=256)
    function_call: Any = None


ROLES: dict[str, Role] = {
    "developer": "system",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


def conversation(turns: Sequence[Turn], *, sees: bool) -> list[Message]:
    """The turns as messages, for a model that sees or not; a refusal names the turn and the member that is wrong."""
    messages: list[Message] = []
    called: set[str] = set()
    for number, turn in enumerate(turns):
        where = f"messages.{number}"
        _require_sense(turn, where, called)
        calls = tuple(
            ToolCall(call.id, call.function.name, call.function.arguments)
            for call in turn.tool_calls or ()
        )
        called |= {call.id for call in calls}
        text, images = content_of(turn.content, f"{where}.content", sees=sees)
        messages.append(
            Message(ROLES[turn.role], text, images, calls, tool_call_id=turn.tool_call_id or "")
        )
    require_bounded(messages, "messages")
    return messages


def _require_sense(turn: Turn, where: str, called: set[str]) -> None:
    if turn.tool_calls and turn.role != "assistant":
        raise refuse(f"{where}.tool_calls", "Only an assistant's turn calls tools.")
    if turn.function_call is not None:
        raise refuse(f"{where}.function_call", "Send `tool_calls` instead.")
    if turn.content is None and not turn.tool_calls:
        raise refuse(f"{where}.content", "Required where no tool is called.")
    if turn.role == "tool" and turn.tool_call_id not in called:
        raise refuse(
            f"{where}.tool_call_id", "Name the id of a call that an earlier assistant's turn has."
        )
