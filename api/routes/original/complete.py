"""complete: a model goes on with a text as it stands, without chat template or system prompt."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import AliasChoices, BaseModel, Field

from api.http.openapi import documented
from api.http.options import GenerationOptions
from api.http.problems import problems
from api.http.request import ServicesDep, asked_model, request_model
from api.http.sse import while_connected
from api.routes.original.answers import UsageResponse, answer_stream, usage_of
from api.routes.original.fields import Name, Text
from api.runtime import FinishReason

router = APIRouter(tags=["generate"])

MODEL = AliasChoices("model", "modelName", "model_name")


class CompleteRequest(GenerationOptions):
    """What text to go on with, and how."""

    model_name: Name = Field(
        "",
        validation_alias=MODEL,
        description="The model that goes on with it; the default model when left out.",
        examples=["demo"],
    )
    prompt: Text = Field(description="The text, as it stands.", examples=["The parking pass costs"])
    stream: bool = Field(False, description="Answer as server-sent events.")


class CompleteResponse(BaseModel):
    """What the model wrote behind the text, why it ended, and what that took."""

    model: str
    text: str
    finish_reason: FinishReason
    usage: UsageResponse


@router.post(
    "/complete",
    operation_id="complete",
    summary="Have a model go on with a text",
    response_model=CompleteResponse,
    responses=problems(404, 422, 502)
    | {
        200: {
            "description": "The text that comes behind the prompt. With `stream=true` the events token and done (or "
            "error).",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
    openapi_extra=documented(CompleteRequest),
)
async def complete(
    http: Request,
    request: Annotated[
        CompleteRequest, Depends(request_model(CompleteRequest, default_model=True))
    ],
    services: ServicesDep,
) -> Response | CompleteResponse:
    """No chat template, no system prompt, no documents: for models that were trained on texts.

    The parameters may come as a form or as JSON too: `{"model": "demo", "prompt": "Once upon a time"}`.
    """
    model = await asked_model(services, request.model_name)
    asked = (model, request.prompt, request.options())
    if request.stream:
        return await answer_stream(http, services.answers.completed(*asked))
    written = await while_connected(http, services.answers.whole_completion(*asked))
    return CompleteResponse(
        model=model.name,
        text=written.text,
        finish_reason=written.done.finish_reason,
        usage=usage_of(written.done),
    )
