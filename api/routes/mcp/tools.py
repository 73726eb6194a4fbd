"""The tools: what each takes, and what it tells, as a text for a model and as members for a program."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.documents.collections import Owner
from api.errors import InvalidOption
from api.http.observe import seen
from api.http.request import asked_model, get_caller, get_callers_services, require_models
from api.http.sse import while_connected
from api.http.wording import in_our_words
from api.models.aliases import plain_name
from api.names import MAX_NAME_CHARACTERS
from api.rag import Question
from api.rag.receipt import Citation
from api.runtime import Message, ModelInfo
from api.services import Services

MAX_QUESTION_CHARACTERS = 100_000


class Told(NamedTuple):
    """What a tool tells."""

    text: str
    members: Mapping[str, Any]


class Arguments(BaseModel):
    """What a tool takes."""

    model_config = ConfigDict(extra="forbid")


class ListCollections(Arguments):
    """List the collections of documents: the name of each, and how many documents can be searched in it."""

    limit: int = Field(100, ge=1, le=1000, description="Most collections to list.")
    after: str | None = Field(
        None,
        max_length=MAX_NAME_CHARACTERS,
        description="Go on behind the collection of this name.",
    )


class Somewhere(Arguments):
    """Where to look."""

    collection: str = Field(
        "",
        max_length=MAX_NAME_CHARACTERS,
        description="The collection, by name or id. Without one: the documents of the model.",
    )
    model: str = Field(
        "",
        max_length=MAX_NAME_CHARACTERS,
        description="The model whose documents are meant. Without one: the service's default.",
    )


class ListDocuments(Somewhere):
    """List the documents of a collection that can be searched: the name and the number of pages of each."""

    limit: int = Field(100, ge=1, le=1000, description="Most documents to list.")
    after: str | None = Field(
        None,
        max_length=MAX_NAME_CHARACTERS,
        description="Go on behind the document of this name.",
    )


class Selected(Somewhere):
    """Which documents."""

    documents: list[str] = Field(
        default_factory=list,
        max_length=1000,
        description="Only these documents, by name or id. Without any: all.",
    )


class Search(Selected):
    """Search the documents: the passages that fit best, each with its document, its page and a score from 0 to 1."""

    query: str = Field(
        min_length=1, max_length=MAX_QUESTION_CHARACTERS, description="What to look for."
    )
    limit: int = Field(8, ge=1, le=100, description="Most passages.")


class Ask(Selected):
    """Ask a question about the documents: an answer, with quotes that were checked to stand on the pages they name."""

    question: str = Field(
        min_length=1, max_length=MAX_QUESTION_CHARACTERS, description="The question."
    )
    model: str = Field(
        "",
        max_length=MAX_NAME_CHARACTERS,
        description="The model that answers. Without one: the service's default.",
    )


async def call(http: Request, name: str, arguments: Mapping[str, Any]) -> Told:
    """What the tool of that name tells; `errors.ApiError` says why it does not."""
    tool = TOOLS.get(name)
    if tool is None:
        raise InvalidOption(f"No tool is named {name!r}. There are: {', '.join(TOOLS)}.")
    given = {name: value for name, value in arguments.items() if value is not None}
    try:
        values = tool.arguments.model_validate(given)
    except ValidationError as error:
        raise _refused(error) from None
    services = get_callers_services(http)
    if isinstance(values, Somewhere):
        values.model = await plain_name(services.store, values.model)
        asks_model = isinstance(values, Ask) or not values.collection
        default = _default(services) if asks_model else None
        require_models(get_caller(http), values.model or default)
    return await while_connected(http, tool.tell(services, values))


def _refused(error: ValidationError) -> InvalidOption:
    """All that is wrong, a sentence each."""
    found = error.errors(include_url=False, include_input=False)
    said = [f"{'.'.join(map(str, one['loc']))}: {in_our_words(one)}" for one in found[:10]]
    return InvalidOption(" ".join(said))


async def _list_collections(services: Services, asked: ListCollections) -> Told:
    found, has_more = await services.collections.page(asked.limit, asked.after)
    lines = [
        f"{one.name} ({one.id}): {one.documents} documents{', shared' * one.shared}"
        for one in found
    ]
    told = [
        {"id": one.id, "name": one.name, "documents": one.documents, "shared": one.shared}
        for one in found
    ]
    return Told(_lines(lines, has_more), {"collections": told, "has_more": has_more})


async def _list_documents(services: Services, asked: ListDocuments) -> Told:
    name = asked.model or _default(services)
    owner = Owner(collection=asked.collection) if asked.collection else Owner(name)
    found, has_more = await services.collections.documents(
        owner, limit=asked.limit, after=asked.after
    )
    lines = [f"{one.name} ({one.id}): {one.pages_total} pages" for one in found]
    told = [{"id": one.id, "name": one.name, "pages": one.pages_total} for one in found]
    return Told(_lines(lines, has_more), {"documents": told, "has_more": has_more})


async def _search(services: Services, asked: Search) -> Told:
    model = None if asked.collection else await _model(services, asked.model)
    hits = await services.answers.search(
        model,
        asked.query,
        asked.documents,
        asked.limit,
        rephrase=False,
        collection=asked.collection,
    )
    told = [
        {
            "document": hit.document,
            "document_id": hit.document_id,
            "page": hit.page,
            "label": hit.label,
            "score": hit.score,
            "text": hit.text,
        }
        for hit in hits
    ]
    texts = [
        f"{_place(hit.document, hit.page, hit.label)} (score {hit.score:.2f})\n{hit.text}"
        for hit in hits
    ]
    return Told("\n\n".join(texts) or "Nothing was found.", {"passages": told})


async def _ask(services: Services, asked: Ask) -> Told:
    model = await _model(services, asked.model)
    question = Question(
        model,
        [Message("user", asked.question)],
        asked.documents or ["*"],
        collection=asked.collection,
    )
    answer = await services.answers.whole(question)
    seen().add_tokens(answer.done.prompt_tokens, answer.done.completion_tokens)
    members = {
        "answer": answer.message,
        "citations": [asdict(one) for one in answer.citations],
        "refused": answer.receipt.refused,
        "model": answer.receipt.model,
    }
    sources = "\n".join(_source(one) for one in answer.citations)
    text = f"{answer.message}\n\nSources:\n{sources}" if sources else answer.message
    return Told(text, members)


async def _model(services: Services, name: str) -> ModelInfo:
    return await asked_model(services, name or _default(services), over_documents=True)


def _default(services: Services) -> str:
    """The model that is asked where none is named."""
    return services.settings.default_model or services.settings.default_base_model


def _source(citation: Citation) -> str:
    place = _place(citation.document, citation.page, citation.label)
    doubt = "" if citation.supported else " (does not say all that the answer says)"
    return f'[{citation.n}] {place}: "{citation.quote}"{doubt}'


def _place(document: str, page: int, label: str) -> str:
    return f"{document}, page {page}" + (f" ({label})" if label else "")


def _lines(lines: list[str], has_more: bool) -> str:
    more = ["There are more: ask `after` the last name."] if has_more else []
    return "\n".join([*lines, *more]) or "There are none."


class Tool(NamedTuple):
    """What it takes, and what tells of it."""

    arguments: type[Arguments]
    tell: Callable[[Services, Any], Awaitable[Told]]


TOOLS = {
    "search": Tool(Search, _search),
    "ask": Tool(Ask, _ask),
    "list_collections": Tool(ListCollections, _list_collections),
    "list_documents": Tool(ListDocuments, _list_documents),
}
