"""POST /v1/completions: a model goes on with a text as it stands, without template or system prompt."""

from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from api.http.openai_errors import PREFIX
from api.http.request import ServicesDep, asked_model
from api.http.sse import while_connected
from api.names import MAX_NAME_CHARACTERS
from api.routes.openai.body import Unsupported, json_body, refuse
from api.routes.openai.chat_answers import Head, new_id
from api.routes.openai.completion_answers import completion, completion_chunks
from api.routes.openai.sampling import Choices
from api.routes.openai.streams import event_stream, merged, together
from api.runtime import Options

router = APIRouter(prefix=PREFIX + "/completions")

MAX_PROMPTS = 32
USUAL_TOKENS = 16
"""What OpenAI's completions have where a request does not say."""
UNSUPPORTED = {
    "echo": Unsupported("The prompt is not given back with the text.", (False,)),
    "suffix": Unsupported("Text is written at the end alone.", ("",)),
}
Ids = Annotated[list[int], Field(fail_fast=True)]


class CompletionRequest(Choices):
    """One prompt or several, and how to go on with them."""

    model: str = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    prompt: str | Annotated[list[str | int | Ids], Field(fail_fast=True, min_length=1)]
    logprobs: int | None = Field(None, ge=0, le=5)
    best_of: int | None = Field(None, ge=1)

    def prompts(self) -> list[str]:
        """The texts, which are what a model's own tokenizer reads; ids are refused."""
        given = [self.prompt] if isinstance(self.prompt, str) else self.prompt
        texts = [one for one in given if isinstance(one, str)]
        if len(texts) < len(given):
            raise refuse("prompt", "Token ids mean nothing to this model: send texts.")
        if len(texts) > MAX_PROMPTS:
            raise refuse("prompt", f"At most {MAX_PROMPTS} are allowed.")
        return texts

    def options(self, usual_tokens: int | None) -> Options:
        """As the runtimes take them, for one of the texts, which has `usual_tokens` where nothing is said."""
        if self.best_of is not None and self.best_of != self.n:
            raise refuse("best_of", "All that are written are given: set `n` alone.")
        longest = self.max_tokens or usual_tokens
        return replace(self.sampled(), max_tokens=longest, logprobs=self.logprobs)


@router.post("", operation_id="createCompletion")
async def create(
    http: Request,
    request: Annotated[
        CompletionRequest, Depends(json_body(CompletionRequest, UNSUPPORTED, default_model=True))
    ],
    services: ServicesDep,
) -> Response:
    """`n` texts a prompt, those of the first prompt first."""
    prompts = request.prompts()
    model = await asked_model(services, request.model)
    options = request.options(None if model.persona.parameters.max_tokens else USUAL_TOKENS)
    asked = [
        (prompt, replace(options, seed=request.seed_of(number)))
        for prompt in prompts
        for number in range(request.n)
    ]
    head, at_once = Head(model.name, new_id("cmpl")), services.settings.parallel_requests
    if request.stream:
        events = merged([services.answers.completed(model, *one) for one in asked], at_once)
        written = completion_chunks(head, events, request.n, wants_usage=request.wants_usage)
        return await event_stream(http, written)
    works = [partial(services.answers.whole_completion, model, *one) for one in asked]
    texts = await while_connected(http, together(works, at_once))
    return JSONResponse(completion(head, texts, request.n))
