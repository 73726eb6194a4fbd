"""generate: answers from a model, over documents or without."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)

from api.http.openapi import documented
from api.http.options import GenerationOptions
from api.http.problems import problems
from api.http.request import ServicesDep, asked_model, request_model
from api.http.request_body import invalid
from api.http.sse import while_connected
from api.rag import Question
from api.rag.images import ROOM_BYTES, require_seen
from api.routes.original.answers import (
    GenerateResponse,
    answer_stream,
    answers_by_name,
    whole_answer,
)
from api.routes.original.fields import MAX_TEXT_CHARACTERS, MODEL_NAME, Name, Text
from api.routes.original.images import IMAGES, Images, images_of
from api.routes.original.values import (
    CallsResponse,
    ValueFields,
    ValueResponse,
    require_values_sense,
    structured_answer,
)
from api.runtime import Message

router = APIRouter(tags=["generate"])

MAX_TURNS = 1000


class Turn(BaseModel):
    """One turn of a conversation: who spoke, and what was said."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: Text
    images: Images = IMAGES


class AskRequest(BaseModel):
    """What to ask which model, over which documents."""

    model_config = ConfigDict(extra="forbid")

    user_prompt: Text | None = Field(
        None,
        description="The question, or whatever the model is to answer; the last turn where there are `messages`. "
        "Required, unless they end with the question.",
        examples=["How long is the warranty?"],
    )
    messages: tuple[Turn, ...] | None = Field(
        None,
        max_length=MAX_TURNS,
        description="The conversation so far, oldest turn first, each with `role` (`user`, `assistant`, or `system` "
        "for the first) and `content`. Without `user_prompt` the last one is the question.",
    )
    images: Images = IMAGES
    model_name: Name = Field(
        "",
        validation_alias=MODEL_NAME,
        description="The model to ask; the default model (`LLM_FASTAPI_DEFAULT_MODEL`) when left out.",
        examples=["demo"],
    )
    documents: tuple[Name, ...] = Field(
        (),
        max_length=1000,
        description="Documents to answer from, by name or id; `*` for all of the model's. "
        "None: plain chat.",
        examples=[["*"]],
    )
    collection: Name = Field(
        "",
        description="Where to look instead of among the model's documents, by name or id; "
        "all of it when no `documents` are named.",
    )
    per_document: bool = Field(
        False,
        description="One answer a document, by its name, instead of one over all. Where two have "
        "one name, the one for all models goes by `NAME (ID)`.",
    )
    expand: bool = Field(
        True,
        description="Search with the model's rephrasings too, as many as `LLM_FASTAPI_EXPANSIONS` says; `false` saves "
        "that call.",
    )
    stream: bool = Field(False, description="Answer as server-sent events.")
    system: str | None = Field(
        None,
        min_length=0,
        max_length=100_000,
        description="System prompt in place of the model's own; in JSON an empty text is one too: none.",
    )
    variables: dict[str, str] = Field(
        default_factory=dict,
        description="Values of the variables in the model's `prompt_template`, by name, as a JSON object.",
        examples=[{"tone": "friendly"}],
    )

    @property
    def over_documents(self) -> bool:
        """Whether it is answered from documents."""
        return bool(self.documents or self.collection)


class GenerateRequest(GenerationOptions, ValueFields, AskRequest):
    """What to ask which model, over which documents, and how to answer."""


@router.post(
    "/generate",
    operation_id="generate",
    summary="Ask a model, with or without documents",
    response_model=GenerateResponse | ValueResponse | CallsResponse,
    responses=problems(404, 409, 422, 502)
    | {
        200: {
            "description": "The answer; with `response_schema` its `value`, with `functions` the `calls`. "
            "With `per_document=true` an object of answers by document "
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
    request: Annotated[
        GenerateRequest,
        Depends(request_model(GenerateRequest, more_bytes=ROOM_BYTES, default_model=True)),
    ],
    services: ServicesDep,
) -> Response | GenerateResponse:
    """One answer over all documents, each statement with its page, and a receipt of how it came about.

    The parameters may come as a form or as JSON too: `{"modelName": "demo", "user_prompt": "Hello"}`.
    """
    _require_sense(request)
    model = await asked_model(services, request.model_name, over_documents=request.over_documents)
    messages = _messages(request)
    require_seen(model, messages, "images")
    question = Question(
        model,
        messages,
        request.documents,
        request.options(),
        request.collection,
        expand=request.expand,
        variables=request.variables,
    )
    if request.asks_for_values:
        return await while_connected(http, structured_answer(request, question, services))
    if request.per_document:
        answers = await while_connected(http, services.answers.each(question))
        return JSONResponse(answers_by_name(answers))
    if request.stream:
        return await answer_stream(http, services.answers.stream(question))
    return whole_answer(await while_connected(http, services.answers.whole(question)))


def _messages(request: GenerateRequest) -> list[Message]:
    """The conversation; `user_prompt` is its last turn."""
    turns = [
        Message(turn.role, turn.content, images_of(turn.images, f"messages.{number}.images"))
        for number, turn in enumerate(request.messages or ())
    ]
    if request.user_prompt is not None:
        turns.append(Message("user", request.user_prompt, images_of(request.images, "images")))
    return turns if request.system is None else [Message("system", request.system), *turns]


def _require_sense(request: GenerateRequest) -> None:
    if request.per_document and not request.over_documents:
        raise invalid("per_document", "Name documents, or `*` for all of the model's.")
    if request.per_document and request.stream:
        raise invalid("stream", "Answers a document cannot be streamed; leave one of them out.")
    require_values_sense(
        request,
        {"stream": request.stream, "per_document": request.per_document},
        over_documents=request.over_documents,
    )
    _require_question(request)


def _require_question(request: GenerateRequest) -> None:
    """A conversation whose last turn asks, and which begins with its only system turn if it has one."""
    turns = request.messages or ()
    if request.user_prompt is None and not turns:
        raise invalid(
            "user_prompt",
            "Required, unless `messages` is given with the question as its last turn.",
        )
    if request.user_prompt is None and turns[-1].role != "user":
        raise invalid(
            "messages",
            f"The last turn is the {turns[-1].role}'s. End with the user's, or give user_prompt.",
        )
    if request.images and request.user_prompt is None:
        raise invalid("images", "They go with `user_prompt`; a turn of `messages` has its own.")
    if any(turn.images and turn.role != "user" for turn in turns):
        raise invalid("messages", "Only a user's turn shows images.")
    roles = [turn.role for turn in turns]
    if "system" in roles[1:]:
        raise invalid("messages", "A system turn stands first, and there is one at most.")
    if "system" in roles and request.system is not None:
        raise invalid("system", "`messages` begins with a system turn; leave one of them out.")
    characters = sum(len(turn.content) for turn in turns)
    if characters > MAX_TEXT_CHARACTERS:
        raise invalid(
            "messages", f"{characters} characters in all; {MAX_TEXT_CHARACTERS} are allowed."
        )
