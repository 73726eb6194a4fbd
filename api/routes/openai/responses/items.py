"""The items that go into a response, as requests send them, as they are kept, and as the runtimes take them."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Discriminator, Field, Tag, TypeAdapter

from api.rag.images import require_bounded
from api.routes.openai.body import refuse
from api.routes.openai.messages import ROLES
from api.routes.openai.parts import MAX_PARTS, Part, RefusalPart, content_of
from api.runtime import Message, ToolCall

MAX_ITEMS = 2000
"""Of one request."""
JSON = dict[str, Any]
Id = Annotated[str, Field(min_length=1, max_length=256)]


class TextPart(Part):
    """A part of what was said."""

    type: Literal["input_text", "output_text", "text"]
    text: str

    @property
    def said(self) -> str:
        """Itself."""
        return self.text


class ImagePart(Part):
    """An image, which is in its URL itself."""

    type: Literal["input_image"]
    image_url: str | None = None
    detail: Literal["low", "high", "auto", "original"] | None = None

    @property
    def shown(self) -> tuple[str, str] | None:
        """As it is sent; a file that is named instead is none."""
        return None if self.image_url is None else (self.image_url, "image_url")


class OtherPart(Part):
    """A file, a sound: what no model here takes."""

    type: Literal["input_file", "input_audio"]


AnyPart = Annotated[TextPart | RefusalPart | ImagePart | OtherPart, Field(discriminator="type")]
Content = str | Annotated[list[AnyPart], Field(fail_fast=True, max_length=MAX_PARTS)]


class MessageItem(BaseModel):
    """Something said. A developer's is a system's."""

    type: Literal["message"] = "message"
    id: Id | None = None
    role: Literal["developer", "system", "user", "assistant"]
    content: Content


class CallItem(BaseModel):
    """A call of a function that a model asked for."""

    type: Literal["function_call"]
    id: Id | None = None
    call_id: Id
    name: Id
    arguments: str = ""


class OutputItem(BaseModel):
    """What a function gave back."""

    type: Literal["function_call_output"]
    id: Id | None = None
    call_id: Id
    output: Content


class ReasoningItem(BaseModel):
    """What a model thought before: kept, and not told to it again."""

    type: Literal["reasoning"]
    id: Id | None = None
    summary: list[dict[str, Any]] = Field(default_factory=list, max_length=MAX_PARTS)
    content: list[dict[str, Any]] | None = Field(None, max_length=MAX_PARTS)


class SearchItem(BaseModel):
    """A search that was made before: kept, and not told to a model."""

    type: Literal["file_search_call"]
    id: Id | None = None
    queries: list[str] = Field(default_factory=list, max_length=MAX_PARTS)


class ReferenceItem(BaseModel):
    """An item that is kept, by its id."""

    type: Literal["item_reference"] | None = None
    id: Id


class OtherItem(BaseModel):
    """What came of tools that are not here."""

    type: str


def _kind(value: Any) -> str:
    """Which of the items a value is; the type of a message and of a reference may be left out."""
    said = value if isinstance(value, Mapping) else getattr(value, "__dict__", {})
    kind = said.get("type") or ("message" if "role" in said else "item_reference")
    is_known = isinstance(kind, str) and kind in KINDS and {"type", "role", "id"} & said.keys()
    return str(kind) if is_known else "other"


KINDS: Mapping[str, type[BaseModel]] = {
    "message": MessageItem,
    "function_call": CallItem,
    "function_call_output": OutputItem,
    "reasoning": ReasoningItem,
    "file_search_call": SearchItem,
    "item_reference": ReferenceItem,
}
InputItem = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[OutputItem, Tag("function_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[SearchItem, Tag("file_search_call")]
    | Annotated[ReferenceItem, Tag("item_reference")]
    | Annotated[OtherItem, Tag("other")],
    Discriminator(_kind),
]
_KEPT: TypeAdapter[list[InputItem]] = TypeAdapter(list[InputItem])
_BEGINNINGS = {
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "file_search_call": "fs",
}


class Placed(NamedTuple):
    """An item and where in the request it stands: in the response before, where it was not sent again."""

    where: str
    item: InputItem


def new_id(kind: str) -> str:
    """An id of a thing of that kind, which nobody guesses."""
    return f"{kind}_{secrets.token_hex(16)}"


def kept(item: InputItem) -> JSON:
    """An item as it is kept and listed: complete, with an id."""
    said = item.model_dump(exclude_none=True)
    kind = said["type"]
    if isinstance(item, MessageItem):
        return {"id": item.id or new_id("msg"), **_message(item)}
    id = said.pop("id", None) or new_id(_BEGINNINGS[kind])
    return {"id": id, **said, "status": "completed"}


def _message(item: MessageItem) -> JSON:
    kind = "output_text" if item.role == "assistant" else "input_text"
    whole = (
        [TextPart(type="input_text", text=item.content)]
        if isinstance(item.content, str)
        else item.content
    )
    parts = [_part(one, kind) for one in whole]
    return {"type": "message", "role": item.role, "status": "completed", "content": parts}


def _part(part: AnyPart, kind: str) -> JSON:
    match part:
        case TextPart() if kind == "output_text":
            return {"type": kind, "text": part.text, "annotations": [], "logprobs": []}
        case TextPart():
            return {"type": kind, "text": part.text}
        case ImagePart():
            return {"type": part.type, "image_url": part.image_url, "detail": part.detail or "auto"}
    return part.model_dump()


def read(items: Iterable[Mapping[str, Any]]) -> list[InputItem]:
    """Items that were kept."""
    return _KEPT.validate_python(list(items))


def conversation(items: Sequence[Placed], *, sees: bool) -> list[Message]:
    """The items as messages, for a model that sees or not; a refusal names the item and the member that is wrong."""
    messages: list[Message] = []
    called: set[str] = set()
    for where, item in items:
        match item:
            case MessageItem():
                text, images = content_of(item.content, f"{where}.content", sees=sees)
                messages.append(Message(ROLES[item.role], text, images))
            case CallItem():
                called.add(item.call_id)
                _add_call(messages, ToolCall(item.call_id, item.name, item.arguments))
            case OutputItem():
                if item.call_id not in called:
                    raise refuse(
                        f"{where}.call_id", "Name the call_id of an earlier function_call."
                    )
                text, images = content_of(item.output, f"{where}.output", sees=sees)
                messages.append(Message("tool", text, images, tool_call_id=item.call_id))
    if not messages:
        raise refuse("input", "Nothing is said in it.")
    require_bounded(messages, "input")
    return messages


def _add_call(messages: list[Message], call: ToolCall) -> None:
    """What an assistant says and the calls that follow are one turn."""
    if messages and messages[-1].role == "assistant":
        last = messages.pop()
        messages.append(replace(last, tool_calls=(*last.tool_calls, call)))
    else:
        messages.append(Message("assistant", "", tool_calls=(call,)))
