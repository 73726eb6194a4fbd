"""The object `response` and the items that come out of it, as they grow while a model writes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from api.rag.receipt import Citation, Done, Retrieved
from api.rag.retrieve import Hit
from api.routes.openai.responses.items import new_id
from api.runtime import TokenLogprob
from api.store.collection_files import CollectionFile

JSON = dict[str, Any]
Event = tuple[str, JSON]
"""Its kind, without `response.`, and its members."""
_MARKER = re.compile(r"\[([\d\s,;]+)\]")


class Growing:
    """An item that is written now, at its place in the output; each method says what that tells."""

    def __init__(self, place: int, item: JSON) -> None:
        self.item = item
        self._here = {"item_id": item["id"], "output_index": place}

    def added(self) -> Iterator[Event]:
        """It begins."""
        yield "output_item.added", {**self._place, "item": dict(self.item)}

    def done(self, status: str) -> Iterator[Event]:
        """It has ended: `completed`, or `incomplete` where it was cut off."""
        self.item = {**self.item, "status": status}
        yield "output_item.done", {**self._place, "item": self.item}

    @property
    def _place(self) -> JSON:
        return {"output_index": self._here["output_index"]}


class Part(Growing):
    """An item of one part of text: `name` is what its events and its text are called by."""

    kind = ""
    name = ""

    def __init__(self, place: int, item: JSON) -> None:
        super().__init__(place, item)
        self._here["content_index"] = 0
        self.text = ""

    def added(self) -> Iterator[Event]:
        """It begins, and its part with it."""
        yield from super().added()
        yield "content_part.added", {**self._here, "part": self._part()}

    def grow(self, text: str) -> Iterator[Event]:
        """More of the text."""
        self.text += text
        yield f"{self.kind}.delta", {**self._here, "delta": text}

    def done(self, status: str) -> Iterator[Event]:
        """The text is whole, then its part, then the item."""
        yield f"{self.kind}.done", {**self._here, self.name: self.text}
        part = self._part()
        yield "content_part.done", {**self._here, "part": part}
        self.item = {**self.item, "content": [part]}
        yield from super().done(status)

    def _part(self) -> JSON:
        return {"type": self.kind, self.name: self.text}


class Reasoning(Part):
    """What a model thinks."""

    kind, name = "reasoning_text", "text"

    def __init__(self, place: int) -> None:
        super().__init__(
            place, {"id": new_id("rs"), "type": "reasoning", "summary": [], "content": []}
        )


def _message() -> JSON:
    return {
        "id": new_id("msg"),
        "type": "message",
        "role": "assistant",
        "status": "in_progress",
        "content": [],
    }


class Refusal(Part):
    """What is said where no model is asked and a form was wanted."""

    kind, name = "refusal", "refusal"

    def __init__(self, place: int) -> None:
        super().__init__(place, _message())


class Message(Part):
    """What a model says, the probabilities of its tokens where they were asked for, and where it has that from."""

    kind, name = "output_text", "text"

    def __init__(self, place: int) -> None:
        super().__init__(place, _message())
        self._logprobs: list[JSON] = []
        self._annotations: list[JSON] = []

    def say(self, text: str, logprobs: Sequence[TokenLogprob]) -> Iterator[Event]:
        """More of the text."""
        said = [_logprob(one) for one in logprobs]
        self._logprobs += said
        for kind, members in self.grow(text):
            yield kind, {**members, "logprobs": said}

    def cite(self, citation: Citation, file: CollectionFile | None) -> Iterator[Event]:
        """Where a marker of the text leads: to a file of a store, or to a document that came another way."""
        number = len(self._annotations)
        earlier = sum(one["n"] == citation.n for one in self._annotations)
        places = _places(self.text, citation.n)
        self._annotations.append(
            {
                "type": "file_citation",
                "file_id": file.file_id if file else citation.document_id,
                "filename": file.name if file else citation.document,
                "index": places[min(earlier, len(places) - 1)] if places else 0,
                **asdict(citation),
            }
        )
        yield (
            "output_text.annotation.added",
            {**self._here, "annotation_index": number, "annotation": self._annotations[-1]},
        )

    def done(self, status: str) -> Iterator[Event]:
        """The text is whole."""
        for kind, members in super().done(status):
            more = {"logprobs": self._logprobs} if kind == "output_text.done" else {}
            yield kind, {**members, **more}

    def _part(self) -> JSON:
        beside = {"annotations": list(self._annotations), "logprobs": list(self._logprobs)}
        return {**super()._part(), **beside}


class Call(Growing):
    """A call of a function."""

    def __init__(self, place: int, call_id: str, name: str) -> None:
        item = {"id": new_id("fc"), "type": "function_call", "call_id": call_id, "name": name}
        super().__init__(place, {**item, "arguments": "", "status": "in_progress"})

    def grow(self, arguments: str) -> Iterator[Event]:
        """More of the arguments."""
        self.item = {**self.item, "arguments": self.item["arguments"] + arguments}
        yield "function_call_arguments.delta", {**self._here, "delta": arguments}

    def done(self, status: str) -> Iterator[Event]:
        """The arguments are whole."""
        said = {"name": self.item["name"], "arguments": self.item["arguments"]}
        yield "function_call_arguments.done", {**self._here, **said}
        yield from super().done(status)


class Search(Growing):
    """A search in documents."""

    def __init__(self, place: int) -> None:
        item = {"id": new_id("fs"), "type": "file_search_call", "status": "in_progress"}
        super().__init__(place, {**item, "queries": [], "results": None})

    def found(
        self, retrieved: Retrieved, files: Mapping[str, CollectionFile] | None
    ) -> Iterator[Event]:
        """What was searched; and where they are asked for, the passages that it found, by their files."""
        hits = None if files is None else [_result(one, files) for one in retrieved.hits]
        self.item = {**self.item, "queries": list(retrieved.queries), "results": hits}
        for step in ("in_progress", "searching", "completed"):
            yield f"file_search_call.{step}", dict(self._here)


@dataclass(slots=True)
class Characters:
    """How much was thought and how much was said: of the tokens of both only the sum is known."""

    thought: int = 0
    said: int = 0

    def usage(self, ended: Done) -> JSON:
        """What a response took; the tokens of what was thought by its share of the characters."""
        both = self.thought + self.said
        thought = round(ended.completion_tokens * self.thought / both) if both else 0
        return {
            "input_tokens": ended.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": ended.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": ended.prompt_tokens + ended.completion_tokens,
        }


def _result(hit: Hit, files: Mapping[str, CollectionFile]) -> JSON:
    file = files.get(hit.document_id)
    return {
        "file_id": file.file_id if file else hit.document_id,
        "filename": file.name if file else hit.document,
        "attributes": file.attributes if file else {},
        "score": hit.score,
        "text": hit.text,
        "page": hit.page,
    }


def _places(text: str, n: int) -> list[int]:
    """Where the markers of a number begin."""
    found = _MARKER.finditer(text)
    return [one.start() for one in found if str(n) in re.split(r"[\s,;]+", one[1])]


def _logprob(one: TokenLogprob) -> JSON:
    return {**_probability(one), "top_logprobs": [_probability(top) for top in one.top]}


def _probability(one: TokenLogprob) -> JSON:
    said = one.token.encode(errors="replace") if one.bytes is None else one.bytes
    return {"token": one.token, "logprob": one.logprob, "bytes": list(said)}
