"""POST /v1/chat/completions: a conversation to a model, whole or streamed, over documents or without."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from api.http.observe import seen
from api.http.request import ServicesDep
from api.http.sse import while_connected
from api.names import MAX_NAME_CHARACTERS
from api.rag import Question
from api.routes.openai.body import json_body, refuse
from api.routes.openai.chat_answers import Head, chunks, completion
from api.routes.openai.messages import Turn, conversation
from api.routes.openai.streams import event_stream
from api.runtime import Options

router = APIRouter(prefix="/chat/completions")

MAX_TURNS = 1000
Name = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]


class StreamOptions(BaseModel):
    """What a stream tells beside the answer."""

    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """A conversation, how to answer it, and, as fields of ours, the documents to answer it from."""

    model: str = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    messages: list[Turn] = Field(min_length=1, max_length=MAX_TURNS)
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int = Field(1, ge=1, le=1)
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    top_k: int | None = Field(None, ge=0, le=1_000_000)
    min_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    frequency_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)
    presence_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)
    repeat_penalty: float | None = Field(None, ge=0.1, le=10, allow_inf_nan=False)
    seed: int | None = Field(None, ge=0, le=2**32 - 2)
    stop: str | list[str] | None = None
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    max_completion_tokens: int | None = Field(None, ge=1, le=1_000_000)
    documents: list[Name] = Field(default_factory=list, max_length=1000)
    collection: Name = ""

    def options(self) -> Options:
        """As the runtimes take them; the newer name of the longest answer wins."""
        return Options(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
            repeat_penalty=self.repeat_penalty,
            seed=self.seed,
            stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()) or None,
            max_tokens=self.max_completion_tokens or self.max_tokens,
        )


@router.post("", operation_id="createChatCompletion")
async def create(
    http: Request,
    request: Annotated[ChatRequest, Depends(json_body(ChatRequest))],
    services: ServicesDep,
) -> Response:
    """One answer. Its `citations` and `receipt` stand beside its `content`, or in the last delta of a stream."""
    over_documents = bool(request.documents or request.collection)
    model = await services.answers.model(request.model, over_documents=over_documents)
    seen().model = model.name
    messages = conversation(request.messages)
    if over_documents and messages[-1].role != "user":
        raise refuse("messages", "A question over documents ends with the user's turn.")
    question = Question(model, messages, request.documents, request.options(), request.collection)
    head = Head(model.name)
    if request.stream:
        wants_usage = bool(request.stream_options and request.stream_options.include_usage)
        answer = services.answers.stream(question)
        return await event_stream(http, chunks(head, answer, wants_usage=wants_usage))
    whole = await while_connected(http, services.answers.whole(question))
    return JSONResponse(completion(head, whole))
