"""embed: texts to vectors, by a model of the home runtime or of a back end."""

import json
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from api.errors import Unusable
from api.http.observe import seen
from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import CallerDep, ServicesDep, request_model, require_models
from api.http.sse import while_connected
from api.models.embedding import Embedded
from api.models.embedding import embed as embedded
from api.routes.original.complete import MODEL
from api.routes.original.fields import Name, Text

router = APIRouter(tags=["generate"])

MAX_TEXTS = 2048


class EmbedRequest(BaseModel):
    """Which texts, and by which model."""

    model_config = ConfigDict(extra="forbid")

    model_name: Name = Field(
        "",
        validation_alias=MODEL,
        description="The model that makes the vectors; the embedding model of the settings when left out.",
    )
    input: tuple[Text, ...] = Field(
        min_length=1,
        max_length=MAX_TEXTS,
        description="The texts, as they stand: nothing is put around them.",
        examples=[["What does a parking pass cost?"]],
    )


class EmbedUsage(BaseModel):
    """Tokens of all texts."""

    prompt_tokens: int
    total_tokens: int


class EmbedResponse(BaseModel):
    """One vector a text, in their order, each of length 1 and of so many numbers."""

    model: str
    vectors: list[list[float]]
    dimension: int
    usage: EmbedUsage


@router.post(
    "/embed",
    operation_id="embed",
    summary="Turn texts into vectors",
    response_model=EmbedResponse,
    responses=problems(404, 422, 502),
    openapi_extra=documented(EmbedRequest),
)
async def embed(
    http: Request,
    request: Annotated[EmbedRequest, Depends(request_model(EmbedRequest))],
    services: ServicesDep,
    caller: CallerDep,
) -> Response:
    """A text that is longer than the model reads is refused, never cut.

    The parameters may come as a form or as JSON too: `{"input": ["a text", "another"]}`.
    """
    name = request.model_name or services.settings.embedding_model
    require_models(caller, name)
    model = await services.models.embedding_model(name)
    seen().model = model.name
    try:
        done = await while_connected(http, embedded(services.runtime, model, request.input))
    except Unusable as error:  # a text that is longer than what the model reads
        raise Unusable(error.detail, **{**error.extra, "where": "input"}) from error
    seen().add_tokens(done.tokens, 0)
    return await run_sync(_answer, model.name, done)


def _answer(model: str, done: Embedded) -> Response:
    """Written beside the event loop, a vector at a time: two million numbers at once let nothing else run."""
    usage = EmbedUsage(prompt_tokens=done.tokens, total_tokens=done.tokens)
    vectors = ",".join(json.dumps(one.tolist(), separators=(",", ":")) for one in done.vectors)
    dimension = done.vectors.shape[1]
    content = (
        f'{{"model":{json.dumps(model)},"vectors":[{vectors}],"dimension":{dimension},'
        f'"usage":{usage.model_dump_json()}}}'
    )
    return Response(content, media_type="application/json")
