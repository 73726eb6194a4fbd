"""The turns of a conversation in OpenAI's form, as the runtimes take them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.routes.openai.body import refuse
from api.routes.openai.images import image_of, require_few_images
from api.runtime import Message, Role, ToolCall

MAX_PARTS = 1000
"""Of one turn."""


class TextPart(BaseModel):
    """A part of a turn."""

    type: Literal["text"]
    text: str


class RefusalPart(BaseModel):
    """What an assistant said instead of an answer."""

    type: Literal["refusal"]
    refusal: str


class ImageURL(BaseModel):
    """Where an image is, which is in the URL itself; how closely to look is the model's."""

    url: str


class ImagePart(BaseModel):
    """An image, for a model that sees."""

    type: Literal["image_url"]
    image_url: ImageURL


class OtherPart(BaseModel):
    """A sound, a file: what no model here takes."""

    type: Literal["input_audio", "file"]


Part = Annotated[TextPart | RefusalPart | ImagePart | OtherPart, Field(discriminator="type")]


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
    content: str | Annotated[list[Part], Field(fail_fast=True, max_length=MAX_PARTS)] | None = None
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
        text, images = _content(turn.content, f"{where}.content", sees=sees)
        messages.append(
            Message(ROLES[turn.role], text, images, calls, tool_call_id=turn.tool_call_id or "")
        )
    require_few_images(messages, "messages")
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


def _content(
    content: str | list[Any] | None, where: str, *, sees: bool
) -> tuple[str, tuple[bytes, ...]]:
    """The text of a turn, its parts joined, and its images."""
    if content is None or isinstance(content, str):
        return content or "", ()
    texts: list[str] = []
    images: list[bytes] = []
    for number, part in enumerate(content):
        match part:
            case TextPart():
                texts.append(part.text)
            case RefusalPart():
                texts.append(part.refusal)
            case ImagePart() if sees:
                images.append(image_of(part.image_url.url, f"{where}.{number}.image_url.url"))
            case _:
                raise refuse(f"{where}.{number}.type", f"This model cannot take {part.type}.")
    return "\n".join(texts), tuple(images)
