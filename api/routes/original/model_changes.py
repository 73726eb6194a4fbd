"""models: PATCH, which changes what a model answers with where a request does not say."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from api.http.openapi import documented
from api.http.options import GenerationOptions, TokenId
from api.http.problems import problems
from api.http.request import ServicesDep, request_model
from api.http.request_body import invalid
from api.models.changing import Change
from api.routes.original.models import ExistingName, ShowModelResponse, shown

router = APIRouter(tags=["models"])

ELSEWHERE = {
    **dict.fromkeys(GenerationOptions.model_fields, "options"),
    "system": "createModel with replace=true",
}
"""Where that is given which is no field of a change."""


class ChangeModelRequest(BaseModel):
    """What is to be otherwise. What is left out stays; what is empty goes."""

    model_config = ConfigDict(extra="forbid")
    elsewhere: ClassVar[Mapping[str, str]] = ELSEWHERE

    options: GenerationOptions | None = Field(
        None,
        description="Options where a request says none, in the place of all that were given so before; `{}` for none.",
        examples=[{"temperature": 0.2}],
    )
    stop_token_ids: list[TokenId] | None = Field(
        None, max_length=64, description="Ids of tokens that end an answer; `[]` for none."
    )
    prompt_template: str | None = Field(
        None,
        min_length=0,
        max_length=20_000,
        description="Words around each question: `{input}` in it is the question, `{context}` the passages of "
        "documents, any other name in braces a variable. A brace of the text is written twice. An empty text for none.",
        examples=["Answer in a {tone} tone.\n\n{context}\n\n{input}"],
    )
    variables: dict[str, str] | None = Field(
        None, description="Values of those variables where a request gives none; `{}` for none."
    )
    extra: dict[str, Any] | None = Field(
        None,
        description="Other values for parameters that its back end adds (`add` in its dialect); `{}` for none.",
    )
    template: str | None = Field(
        None,
        max_length=100_000,
        description="A chat template, or the word for one, as for `createModel`; of a persona or a fine-tune.",
    )


@router.patch(
    "/models/{modelName:path}",
    operation_id="change_model",
    summary="Change what a model answers with where a request does not say",
    response_model_exclude_unset=True,
    responses=problems(403, 404, 409, 422),
    openapi_extra=documented(ChangeModelRequest),
)
async def change_model(
    model_name: ExistingName,
    request: Annotated[ChangeModelRequest, Depends(request_model(ChangeModelRequest))],
    services: ServicesDep,
) -> ShowModelResponse:
    """It holds at every door from the next request on, and a request that says otherwise has its way.

    The parameters may come as a form or as JSON too: `{"options": {"temperature": 0.2}}`.
    """
    options = request.options
    ids = request.stop_token_ids
    if options and options.stop_token_ids is not None:
        if ids is not None:
            raise invalid("stop_token_ids", "Given twice: here and among the `options`.")
        ids = list(options.stop_token_ids)
    wanted = Change(
        options=options.options() if options else None,
        stop_token_ids=None if ids is None else tuple(ids),
        extra=request.extra,
        prompt_template=request.prompt_template,
        variables=request.variables,
        template=request.template,
    )
    return shown(await services.model_changes.change(model_name, wanted))
