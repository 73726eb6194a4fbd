"""generate and search: answers from a model, over documents or without, and retrieval alone."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StringConstraints

from api.http.observe import seen
from api.http.openapi import documented
from api.http.options import GenerationOptions
from api.http.problems import problems
from api.http.request import ServicesDep, request_model
from api.http.request_body import invalid
from api.http.sse import EventStream, ServerEvent, while_connected
from api.names import MAX_NAME_CHARACTERS
from api.rag.answer import Answering, Limits, whole
from api.rag.receipt import Answer, AnswerEvent, Citation, Done, Receipt, Token
from api.rag.retrieve import Found
from api.runtime import Message
from api.services import Services
from api.store.documents import Document

router = APIRouter(tags=["generate"])

MAX_TEXT_CHARACTERS = 500_000
"""Some 100,000 tokens; what is longer would only be counted in order to be refused."""

Text = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_TEXT_CHARACTERS, pattern=r"\S")
]
Name = Annotated[str, StringConstraints(max_length=MAX_NAME_CHARACTERS)]
_MODEL_NAME = AliasChoices("modelName", "model_name")


class AskRequest(BaseModel):
    """What to ask which model, over which documents."""

    model_config = ConfigDict(extra="forbid")

    user_prompt: Text = Field(
        description="The question, or whatever the model is to answer.",
        examples=["How long is the warranty?"],
    )
    model_name: Name = Field(
        validation_alias=_MODEL_NAME, description="The model to ask.", examples=["demo"]
    )
    documents: tuple[Name, ...] = Field(
        (),
        max_length=1000,
        description="Documents to answer from, by name or id; `*` for all of the model's. "
        "None: plain chat.",
        examples=[["*"]],
    )
    per_document: bool = Field(
        False,
        description="One answer a document, by its name, instead of one over all. Where two have "
        "one name, the one for all models goes by `NAME (ID)`.",
    )
    stream: bool = Field(False, description="Answer as server-sent events.")
    system: str | None = Field(
        None, description="System prompt in place of the model's own.", max_length=100_000
    )


class GenerateRequest(GenerationOptions, AskRequest):
    """What to ask which model, over which documents, and how to answer."""


class GenerateResponse(BaseModel):
    """The answer, what its markers [n] stand for, and how it came about."""

    message: str
    citations: list[Citation]
    receipt: Receipt


class SearchRequest(BaseModel):
    """What to look for in which documents."""

    model_config = ConfigDict(extra="forbid")

    query: Text = Field(description="What to look for.", examples=["warranty period"])
    model_name: Name = Field(
        validation_alias=_MODEL_NAME,
        description="The model whose documents are searched.",
        examples=["demo"],
    )
    documents: tuple[Name, ...] = Field(
        (), max_length=1000, description="Only these, by name or id; all when left out."
    )
    limit: int = Field(10, ge=1, le=100, description="Most passages to return.")
    expand: bool = Field(False, description="Search with the model's rephrasings too.")


class FoundPassage(BaseModel):
    """A passage, how well it fits (0..1), and which query found it by meaning or by words."""

    document: str
    document_id: str
    page: int
    score: float
    text: str
    found_by: list[Found]


class SearchResponse(BaseModel):
    """Passages, best first."""

    hits: list[FoundPassage]


@router.post(
    "/generate",
    operation_id="generate",
    summary="Ask a model, with or without documents",
    response_model=GenerateResponse,
    responses=problems(404, 409, 422, 502)
    | {
        200: {
            "description": "The answer. With `per_document=true` an object of answers by document "
            "name, with `citations` and `receipts` by document name beside them; a document whose "
            "name is taken (by the model's own, or by one of these two words) goes by `NAME (ID)`. "
            "With `stream=true` the events token, citation, receipt, done (or error).",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
    openapi_extra=documented(GenerateRequest),
)
async def generate(
    http: Request,
    request: Annotated[GenerateRequest, Depends(request_model(GenerateRequest))],
    services: ServicesDep,
) -> Response | GenerateResponse:
    """One answer over all documents, each statement with its page, and a receipt of how it came about.

    The parameters may come as a form or as JSON too: `{"modelName": "demo", "user_prompt": "Hello"}`.
    """
    _require_sense(request)
    over_documents = bool(request.documents)
    model = await _ready_model(services, request.model_name, over_documents=over_documents)
    answering, messages, options = _answering(services), _messages(request), request.options()
    asked = (model, messages, request.documents, options)
    if request.per_document:
        answers = await while_connected(http, answering.answer_each(*asked))
        for _, answer in answers:
            seen().add_tokens(answer.done.prompt_tokens, answer.done.completion_tokens)
        return JSONResponse(_each(answers))
    events = answering.answer(*asked)
    if request.stream:
        return await _stream(http, events)
    answer = await while_connected(http, whole(events))
    seen().add_tokens(answer.done.prompt_tokens, answer.done.completion_tokens)
    return GenerateResponse(
        message=answer.message, citations=list(answer.citations), receipt=answer.receipt
    )


@router.post(
    "/search",
    operation_id="search",
    summary="Search a model's documents",
    responses=problems(404, 409, 422, 502),
    openapi_extra=documented(SearchRequest),
)
async def search(
    request: Annotated[SearchRequest, Depends(request_model(SearchRequest))],
    services: ServicesDep,
) -> SearchResponse:
    """The passages that `generate` would choose from, without an answer.

    The parameters may come as a form or as JSON too: `{"modelName": "demo", "query": "warranty"}`.
    """
    model = await _ready_model(services, request.model_name, over_documents=True)
    hits = await _answering(services).search(
        model,
        request.query,
        request.documents,
        request.limit,
        rephrase=request.expand,
    )
    return SearchResponse(
        hits=[
            FoundPassage(
                document=hit.document,
                document_id=hit.document_id,
                page=hit.page,
                score=hit.score,
                text=hit.text,
                found_by=list(hit.found_by),
            )
            for hit in hits
        ]
    )


def _each(answers: Sequence[tuple[Document, Answer]]) -> dict[str, Any]:
    """Answers by document name; where a name is taken already, by name and id."""
    named: dict[str, Answer] = {}
    for document, answer in sorted(answers, key=lambda one: one[0].model == ""):  # its own first
        is_taken = document.name in {*named, "citations", "receipts"}
        named[f"{document.name} ({document.id})" if is_taken else document.name] = answer
    return {
        **{name: answer.message for name, answer in named.items()},
        "citations": {
            name: [asdict(one) for one in answer.citations] for name, answer in named.items()
        },
        "receipts": {name: asdict(answer.receipt) for name, answer in named.items()},
    }


def _require_sense(request: GenerateRequest) -> None:
    if request.per_document and not request.documents:
        raise invalid("per_document", "Name documents, or `*` for all of the model's.")
    if request.per_document and request.stream:
        raise invalid("stream", "Answers a document cannot be streamed; leave one of them out.")


async def _ready_model(services: Services, model: str, *, over_documents: bool) -> str:
    """The model as it is listed; 404 when unknown, 503 for a bundled one that is still being made."""
    services.bundled.require(model, *([services.settings.embedding_model] * over_documents))
    seen().model = found = await services.models.require_chat(model)
    return found


def _answering(services: Services) -> Answering:
    settings = services.settings
    limits = Limits(
        expansions=settings.expansions,
        passages=settings.passages,
        dense_weight=settings.dense_weight,
        max_answer_tokens=settings.max_answer_tokens,
        context_length=settings.context_length,
    )
    return Answering(services.runtime, services.store, services.index, limits)


def _messages(request: GenerateRequest) -> list[Message]:
    asking = Message("user", request.user_prompt)
    return [asking] if request.system is None else [Message("system", request.system), asking]


async def _stream(http: Request, answer: AsyncGenerator[AnswerEvent, None]) -> EventStream:
    """The first event is there before the response starts, so that a refusal keeps its status."""
    events = _written(answer)
    try:
        first = await while_connected(http, anext(events))
    except BaseException:
        await events.aclose()
        raise
    return EventStream(events, first)


async def _written(
    answer: AsyncGenerator[AnswerEvent, None],
) -> AsyncGenerator[ServerEvent, None]:
    async with aclosing(answer):
        async for event in answer:
            yield _on_the_wire(event)


def _on_the_wire(event: AnswerEvent) -> ServerEvent:
    match event:
        case Token():
            return ServerEvent("token", asdict(event))
        case Citation():
            return ServerEvent("citation", asdict(event))
        case Receipt():
            return ServerEvent("receipt", asdict(event))
        case Done():
            seen().add_tokens(event.prompt_tokens, event.completion_tokens)
            usage = {
                "prompt_tokens": event.prompt_tokens,
                "completion_tokens": event.completion_tokens,
            }
            return ServerEvent("done", {"finish_reason": event.finish_reason, "usage": usage})
