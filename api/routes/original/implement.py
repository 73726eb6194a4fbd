"""implement: a function that a model writes by its signature, and what it returns."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from api.http.observe import seen
from api.http.openapi import documented
from api.http.options import GenerationOptions
from api.http.problems import problems
from api.http.request import ServicesDep, asked_model, request_model
from api.http.sse import while_connected
from api.rag import Question
from api.routes.original.fields import MODEL_NAME, Name, Text
from api.runtime import Message
from api.structured.implementing import implemented, wanted

router = APIRouter(tags=["generate"])


class ImplementRequest(GenerationOptions):
    """Which function to write, and what to call it with."""

    model_name: Name = Field(
        "",
        validation_alias=MODEL_NAME,
        description="The model that writes it; the default model when left out.",
        examples=["demo"],
    )
    function: Text = Field(
        description="Its signature as typed Python source; the docstring says what it does.",
        examples=[
            'def area(width: float, height: float) -> float:\n    "The area of a rectangle."'
        ],
    )
    question: str = Field("", max_length=100_000, description="What else the model should know.")
    response_schema: dict[str, Any] | None = Field(
        None, description="A JSON schema that what it returns must hold."
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="What it is called with, by name."
    )
    execute: bool = Field(True, description="Call it; `false` has it written and read only.")


class ImplementResponse(BaseModel):
    """The code, what it returned, or the reason why it returned nothing; and how often the model wrote."""

    code: str
    value: Any
    reason: str | None
    tries: int


@router.post(
    "/implement",
    operation_id="implement",
    summary="Have a model write a function, and run it",
    responses=problems(404, 422, 502),
    openapi_extra=documented(ImplementRequest),
)
async def implement(
    http: Request,
    request: Annotated[
        ImplementRequest, Depends(request_model(ImplementRequest, default_model=True))
    ],
    services: ServicesDep,
) -> ImplementResponse:
    """At most three tries; each runs in a sandbox without files and network, for 2 seconds and in 64 MB.

    The parameters may come as a form or as JSON too.
    """
    model = await asked_model(services, request.model_name)
    order = await wanted(
        request.function, request.response_schema, request.parameters, execute=request.execute
    )
    messages = [Message("user", request.question)]
    question = Question(model, messages, options=request.options(), as_it_stands=True)
    done = await while_connected(
        http, implemented(services.answers, question, order, services.sandbox)
    )
    for one in done.tries:
        seen().add_tokens(one.prompt_tokens, one.completion_tokens)
    return ImplementResponse(
        code=done.code, value=done.value, reason=done.reason, tries=len(done.tries)
    )
