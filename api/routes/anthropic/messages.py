"""POST /v1/messages, whole or streamed, and POST /v1/messages/count_tokens."""

import secrets
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from api.errors import ApiError
from api.http.anthropic_errors import MESSAGES, REQUEST_ID, anthropic_body
from api.http.observe import seen
from api.http.problems import stamped
from api.http.request import ServicesDep, asked_model
from api.http.sse import ServerEvent, begun, while_connected
from api.names import MAX_NAME_CHARACTERS
from api.rag import Question
from api.rag.images import ROOM_BYTES
from api.routes.anthropic.answers import events, message
from api.routes.anthropic.tools import Choice, Tool, chosen
from api.routes.anthropic.turns import TextBlock, Turn, conversation
from api.routes.openai.asked import model_and_collection, require_question
from api.routes.openai.body import Unsupported, as_sent, json_body
from api.routes.openai.sampling import Stop, Variables
from api.routes.openai.tools import MAX_TOOLS, offered
from api.runtime import Options
from api.services import Services

router = APIRouter(prefix=MESSAGES)

MAX_TURNS = 10_000
Name = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]
UNSUPPORTED = {
    "container": Unsupported("No code is run here."),
    "mcp_servers": Unsupported("Connect to them where the tools are called.", ([],)),
}
"""What changes no answer is ignored instead: `metadata`, `service_tier`, `cache_control` and the like."""
AS_SENT = {
    "json_schema": "output_config.format.schema",
    "response_format": "output_config.format.schema",
    "stop": "stop_sequences",
}


class Thinking(BaseModel):
    """Whether a model that can thinks first; how long is its own choice."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]


class Format(BaseModel):
    """The schema that an answer keeps to."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(BaseModel):
    """How the answer is to be."""

    format: Format | None = None


class CountRequest(BaseModel):
    """A conversation, and what a model is told beside it."""

    model: str = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    messages: Annotated[list[Turn], Field(fail_fast=True)] = Field(
        min_length=1, max_length=MAX_TURNS
    )
    system: str | Annotated[list[TextBlock], Field(fail_fast=True, max_length=1000)] | None = None
    tools: Annotated[list[Tool], Field(fail_fast=True)] = Field(
        default_factory=list, max_length=MAX_TOOLS
    )
    tool_choice: Choice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    variables: Variables

    def options(self) -> Options:
        """As the runtimes take them."""
        tools, choice = chosen(self.tools, self.tool_choice)
        is_alone = bool(self.tool_choice and self.tool_choice.disable_parallel_tool_use)
        form = self.output_config and self.output_config.format
        return Options(
            tools=tools,
            tool_choice=choice,
            parallel_tool_calls=False if tools and is_alone else None,
            think=None if self.thinking is None else self.thinking.type != "disabled",
            json_schema=form.schema_ if form else None,
        )


class MessagesRequest(CountRequest):
    """A conversation, how to answer it, and, as fields of ours, the documents to answer it from."""

    max_tokens: int = Field(ge=1, le=10_000_000)
    stream: bool = False
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    top_k: int | None = Field(None, ge=0, le=1_000_000)
    stop_sequences: Annotated[list[Stop], Field(fail_fast=True, max_length=16)] | None = None
    documents: Annotated[list[Name], Field(fail_fast=True)] = Field(
        default_factory=list, max_length=1000
    )
    collection: Name = ""

    def options(self) -> Options:
        """As the runtimes take them."""
        return replace(
            super().options(),
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            stop=tuple(self.stop_sequences or ()) or None,
        )


@router.post("", operation_id="createMessage")
async def create(
    http: Request,
    request: Annotated[
        MessagesRequest,
        Depends(json_body(MessagesRequest, UNSUPPORTED, more_bytes=ROOM_BYTES, default_model=True)),
    ],
    services: ServicesDep,
) -> Response:
    """One answer. `max_tokens` is the most that it may have: less where the context leaves less."""
    question, notice = await _question(request, services)
    id = f"msg_{secrets.token_hex(12)}"
    answer: Response
    with as_sent(AS_SENT):
        if request.stream:
            written = events(id, question.model.name, services.answers.stream(question), notice)
            answer = await begun(http, written, _failure)
        else:
            whole = await while_connected(http, services.answers.whole(question))
            answer = JSONResponse(message(id, whole, notice))
    answer.headers[REQUEST_ID] = seen().id
    return answer


@router.post("/count_tokens", operation_id="countMessageTokens")
async def count_tokens(
    http: Request,
    request: Annotated[
        CountRequest, Depends(json_body(CountRequest, more_bytes=ROOM_BYTES, default_model=True))
    ],
    services: ServicesDep,
) -> JSONResponse:
    """What the conversation comes to for the model, tools included."""
    model = await asked_model(services, request.model)
    messages = conversation(request.system, request.messages, sees="images" in model.capabilities)
    options, _ = offered(request.options(), request.tool_choice, model)
    question = Question(model, messages, options=options, variables=request.variables)
    with as_sent(AS_SENT):
        tokens = await while_connected(http, services.answers.count_tokens(question))
    return JSONResponse({"input_tokens": tokens}, headers={REQUEST_ID: seen().id})


async def _question(request: MessagesRequest, services: Services) -> tuple[Question, str]:
    """What is asked of the model; and a notice, if any."""
    model, collection = await model_and_collection(request, request.messages[-1].role, services)
    options, notice = offered(request.options(), request.tool_choice, model)
    messages = conversation(request.system, request.messages, sees="images" in model.capabilities)
    if request.documents or collection:
        require_question(messages)
    question = Question(
        model,
        messages,
        request.documents,
        options,
        collection,
        may_end_early=True,
        variables=request.variables,
    )
    return question, notice


def _failure(error: ApiError) -> ServerEvent:
    """What ends a stream that fails: the SDKs raise it with its message."""
    return ServerEvent("error", anthropic_body(stamped(error.as_problem())))
