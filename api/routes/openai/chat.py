"""POST /v1/chat/completions: a conversation to a model, whole or streamed, over documents or without."""

from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from api.http.openai_errors import PREFIX
from api.http.request import ServicesDep
from api.http.sse import while_connected
from api.names import MAX_NAME_CHARACTERS
from api.rag import Question
from api.rag.images import ROOM_BYTES
from api.routes.openai.asked import model_and_collection, require_question
from api.routes.openai.body import Unsupported, as_sent, json_body, refuse
from api.routes.openai.chat_answers import Head, chunks, completion, new_id
from api.routes.openai.formats import ResponseFormat, must_have_form, schema_of
from api.routes.openai.messages import Turn, conversation
from api.routes.openai.sampling import Choices, Effort, Variables, thinks
from api.routes.openai.streams import event_stream, merged, together
from api.routes.openai.tools import MAX_TOOLS, Choice, Tool, chosen, offered
from api.runtime import Options
from api.services import Services

router = APIRouter(prefix=PREFIX + "/chat/completions")

MAX_TURNS = 1000
Name = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]
UNSUPPORTED = {
    "audio": Unsupported("No model here speaks."),
    "function_call": Unsupported("Send `tool_choice` instead.", ("none",)),
    "functions": Unsupported("Send `tools`, each as {type: function, function: ...}.", ([],)),
    "modalities": Unsupported("Models answer in text alone.", (["text"], [])),
    "prediction": Unsupported("An expected answer saves no time here. Leave it out."),
    "verbosity": Unsupported("Ask for it in the messages, or set max_tokens.", ("medium",)),
    "web_search_options": Unsupported("Only documents are searched: name `documents`."),
}
"""What changes no answer is ignored instead: `store`, `metadata`, `user`, `service_tier` and the like."""


class ChatRequest(Choices):
    """A conversation, how to answer it, and, as fields of ours, the documents to answer it from."""

    model: str = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    messages: Annotated[list[Turn], Field(fail_fast=True)] = Field(
        min_length=1, max_length=MAX_TURNS
    )
    max_completion_tokens: int | None = Field(None, ge=1, le=1_000_000)
    logprobs: bool = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Field(fail_fast=True)] = Field(
        default_factory=list, max_length=MAX_TOOLS
    )
    tool_choice: Choice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Effort | None = None
    documents: Annotated[list[Name], Field(fail_fast=True)] = Field(
        default_factory=list, max_length=1000
    )
    collection: Name = ""
    variables: Variables

    def options(self) -> Options:
        """As the runtimes take them; the newer name of the longest answer wins."""
        if self.top_logprobs is not None and not self.logprobs:
            raise refuse("top_logprobs", "Set `logprobs` too.")
        tools, choice = chosen(self.tools, self.tool_choice)
        return replace(
            self.sampled(),
            max_tokens=self.max_completion_tokens or self.max_tokens,
            logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            json_schema=schema_of(self.response_format),
            tools=tools,
            tool_choice=choice,
            parallel_tool_calls=self.parallel_tool_calls if tools else None,
            think=thinks(self.reasoning_effort),
        )


@router.post("", operation_id="createChatCompletion")
async def create(
    http: Request,
    request: Annotated[
        ChatRequest,
        Depends(json_body(ChatRequest, UNSUPPORTED, more_bytes=ROOM_BYTES, default_model=True)),
    ],
    services: ServicesDep,
) -> Response:
    """One answer, or `n`. Citations and receipt stand beside its content, or in the last delta of a stream."""
    questions, notice = await _questions(request, services)
    model, options = questions[0].model, questions[0].options
    head = Head(model.name, new_id("chatcmpl"), notice=notice)
    has_form, at_once = must_have_form(options), services.settings.parallel_requests
    names = {"max_tokens": "max_completion_tokens"} if request.max_completion_tokens else {}
    if request.stream:
        events = merged([services.answers.stream(one) for one in questions], at_once)
        written = chunks(
            head, events, len(questions), wants_usage=request.wants_usage, has_form=has_form
        )
        with as_sent(names):
            return await event_stream(http, written)
    works = together([partial(services.answers.whole, one) for one in questions], at_once)
    with as_sent(names):
        answers = await while_connected(http, works)
    return JSONResponse(completion(head, answers, has_form=has_form))


async def _questions(request: ChatRequest, services: Services) -> tuple[list[Question], str]:
    """The question, once for each answer that is wanted; and a notice, if any."""
    options = request.options()
    model, collection = await model_and_collection(request, request.messages[-1].role, services)
    options, notice = offered(options, request.tool_choice, model)
    messages = conversation(request.messages, sees="images" in model.capabilities)
    if request.documents or collection:
        require_question(messages)
        if request.n > 1:
            raise refuse("n", "A question over documents has one answer.")
    question = Question(
        model, messages, request.documents, options, collection, variables=request.variables
    )
    every = [
        replace(question, options=replace(options, seed=request.seed_of(number)))
        for number in range(request.n)
    ]
    return every, notice
