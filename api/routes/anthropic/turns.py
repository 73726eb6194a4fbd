"""The turns of a conversation in Anthropic's form, as the runtimes take them."""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.rag.images import image_of, require_bounded
from api.routes.openai.body import refuse
from api.runtime import Message, ToolCall

MAX_BLOCKS = 1000
"""Of one turn."""


class TextBlock(BaseModel):
    """A text."""

    type: Literal["text"]
    text: str


class Source(BaseModel):
    """An image in the request itself; one elsewhere is not fetched."""

    type: Literal["base64", "url", "file"]
    media_type: str = ""
    data: str = ""


class ImageBlock(BaseModel):
    """An image, for a model that sees."""

    type: Literal["image"]
    source: Source


class ToolUseBlock(BaseModel):
    """A call that the assistant asked for."""

    type: Literal["tool_use"]
    id: str = Field(min_length=1, max_length=256)
    name: str = Field(min_length=1, max_length=256)
    input: dict[str, Any] = Field(default_factory=dict)


class ToolResultBlock(BaseModel):
    """What a call came to."""

    type: Literal["tool_result"]
    tool_use_id: str = Field(min_length=1, max_length=256)
    content: str | Annotated[list["ToldBlock"], Field(fail_fast=True, max_length=MAX_BLOCKS)] = ""
    is_error: bool = False


class ThoughtBlock(BaseModel):
    """What the assistant thought before; a model is told none of it again."""

    type: Literal["thinking", "redacted_thinking"]


class OtherBlock(BaseModel):
    """What Anthropic's own servers do."""

    type: Literal[
        "document",
        "search_result",
        "container_upload",
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "tool_search_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
    ]


ToldBlock = Annotated[TextBlock | ImageBlock | OtherBlock, Field(discriminator="type")]
Block = Annotated[
    TextBlock | ImageBlock | ToolUseBlock | ToolResultBlock | ThoughtBlock | OtherBlock,
    Field(discriminator="type"),
]


class Turn(BaseModel):
    """One turn."""

    role: Literal["user", "assistant", "system"]
    content: str | Annotated[list[Block], Field(fail_fast=True, max_length=MAX_BLOCKS)]


def conversation(
    system: str | Sequence[TextBlock] | None, turns: Sequence[Turn], *, sees: bool
) -> list[Message]:
    """The turns as messages, for a model that sees or not; a refusal names the block that is wrong."""
    messages: list[Message] = []
    if system:
        text = system if isinstance(system, str) else "\n".join(one.text for one in system)
        messages.append(Message("system", text))
    called: set[str] = set()
    for number, turn in enumerate(turns):
        where = f"messages.{number}.content"
        if isinstance(turn.content, str):
            messages.append(Message(turn.role, turn.content))
            continue
        read = _Read(turn.role, where, sees, called)
        for place, block in enumerate(turn.content):
            read.add(block, f"{where}.{place}")
        messages += read.messages()
    require_bounded(messages, "messages")
    return messages


class _Read:
    """The blocks of one turn, as they are read: results of calls are turns of their own, before what the user says."""

    def __init__(
        self, role: Literal["user", "assistant", "system"], where: str, sees: bool, called: set[str]
    ) -> None:
        self._role = role
        self._where = where
        self._sees = sees
        self._called = called
        self._texts: list[str] = []
        self._images: list[bytes] = []
        self._calls: list[ToolCall] = []
        self._results: list[Message] = []

    def add(self, block: Block, where: str) -> None:
        """One more block; a refusal of what it may not be here."""
        match block:
            case TextBlock():
                self._texts.append(block.text)
            case ImageBlock() if self._sees and self._role == "user":
                self._images.append(_image(block.source, f"{where}.source"))
            case ToolUseBlock() if self._role == "assistant":
                self._called.add(block.id)
                said = json.dumps(block.input, ensure_ascii=False)
                self._calls.append(ToolCall(block.id, block.name, said))
            case ToolResultBlock() if self._role == "user":
                self._results.append(self._result(block, where))
            case ThoughtBlock():
                pass
            case ImageBlock() if not self._sees:
                raise refuse(f"{where}.type", "This model cannot take an image.")
            case OtherBlock():
                raise refuse(f"{where}.type", f"A block {block.type!r} is not taken here.")
            case _:
                raise refuse(f"{where}.type", f"No {self._role}'s turn has a {block.type!r}.")

    def messages(self) -> Iterator[Message]:
        """The turn as messages."""
        yield from self._results
        if self._texts or self._images or self._calls:
            text = "\n".join(self._texts)
            yield Message(self._role, text, tuple(self._images), tuple(self._calls))
        elif not self._results:
            raise refuse(self._where, "A text or a call is needed.")

    def _result(self, block: ToolResultBlock, where: str) -> Message:
        if block.tool_use_id not in self._called:
            raise refuse(
                f"{where}.tool_use_id",
                "Name the id of a call that an earlier assistant's turn has.",
            )
        text = block.content
        if not isinstance(text, str):
            told = _Read("user", where, self._sees, set())
            for place, one in enumerate(text):
                told.add(one, f"{where}.content.{place}")
            text = "\n".join(told._texts)
            self._images += told._images
        return Message(
            "tool", f"Error: {text}" if block.is_error else text, tool_call_id=block.tool_use_id
        )


def _image(source: Source, where: str) -> bytes:
    if source.type != "base64":
        raise refuse(f"{where}.type", "Images are taken as base64; nothing is fetched.")
    return image_of(f"data:{source.media_type};base64,{source.data}", where)
