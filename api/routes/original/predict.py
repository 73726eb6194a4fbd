"""predict: a column filled by a model, row by row, as a job: begin, list, get, log, cancel, resume, delete."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from api.http.openapi import documented
from api.http.options import GenerationOptions
from api.http.problems import problems
from api.http.request import CallerDep, ServicesDep, request_model
from api.http.request_body import invalid
from api.http.sse import while_connected
from api.routes.original.fields import MODEL_NAME, HasMore, Name, PageRequest
from api.tables.prediction import Status
from api.tables.predictions import Progress, Wanted

router = APIRouter(prefix="/predict", tags=["tables"])

MAX_SELECT_CHARACTERS = 100_000
PredictionId = Annotated[
    str, Path(alias="id", description="The prediction's id.", examples=["pr_0123456789abcdef"])
]


class PredictRequest(BaseModel):
    """Which rows, what each is asked, and where the answers go."""

    model_config = ConfigDict(extra="forbid")

    table: Name | None = Field(
        None, description="The table: one of `/tables`, or of the `database`.", examples=["items"]
    )
    database: Name | None = Field(
        None, description="A database that the settings name.", examples=["shop"]
    )
    select: str | None = Field(
        None,
        max_length=MAX_SELECT_CHARACTERS,
        description="One SELECT over the `database` in the place of `table`; its rows come to the table `result`.",
    )
    input: str = Field(
        max_length=100_000,
        description="A column, whose cells are asked as they are, or a template that names columns in braces; a brace "
        "of the text is written twice.",
        examples=["Is {name} a fruit? Answer yes or no."],
    )
    into: Name = Field(
        description="The column for the answers: a new one, or one that is there, whose NULLs are filled.",
        examples=["is_fruit"],
    )
    model_name: Name = Field(
        "",
        validation_alias=MODEL_NAME,
        description="The model to ask; that of the settings when left out.",
        examples=["demo"],
    )
    result: Name | None = Field(
        None,
        description="A table that the rows come to with the column; else the table itself has it when all is done.",
    )
    system: str | None = Field(
        None, max_length=100_000, description="System prompt in place of the model's own."
    )
    options: GenerationOptions | None = Field(
        None, description="How to generate, as for `generate`."
    )
    documents: tuple[Name, ...] = Field(
        (), max_length=1000, description="Documents to answer from, by name or id; `*` for all."
    )
    collection: Name = Field("", description="Where to look instead, by name or id.")
    response_schema: dict[str, Any] | None = Field(
        None,
        description="A JSON schema that each answer holds; its value stands in the column, of `integer`, `number` and "
        "`boolean` as one.",
    )
    limit: int | None = Field(None, ge=1, description="Most rows to ask; all when left out.")
    dry_run: bool = Field(False, description="Only show what the first three rows would be asked.")


class PromptsResponse(BaseModel):
    """What a model would be asked."""

    prompts: list[str]


class PredictionResponse(BaseModel):
    """One prediction, and how far it is."""

    prediction_id: str
    status: Status
    table: str
    database: str | None = Field(description="Whose rows they are, where not of a table of ours.")
    input: str
    into: str
    result: str = Field(description="The table that has the column when it has succeeded.")
    model: str
    rows: int | None = Field(description="How many are asked; null until they are counted.")
    completed: int = Field(description="Rows that have a value.")
    failed: int = Field(description="Rows that have none; the log says why.")
    seconds_left: float | None = Field(description="In about how long it is done.")
    reason: str | None = Field(description="Why it has failed.")
    notice: str | None
    created_at: str
    times: dict[str, str] = Field(description="When it last came to each status.")


class ListPredictionsResponse(BaseModel):
    """Predictions, newest first."""

    predictions: list[PredictionResponse]
    has_more: HasMore


class DeletePredictionResponse(BaseModel):
    """What was deleted."""

    message: str
    prediction_id: str


@router.post(
    "",
    operation_id="predict",
    status_code=202,
    summary="Fill a column by a model",
    response_model=PredictionResponse | PromptsResponse,
    responses=problems(404, 409, 413, 422, 429, 503, 507),
    openapi_extra=documented(PredictRequest),
)
async def predict(
    http: Request,
    request: Annotated[PredictRequest, Depends(request_model(PredictRequest, default_model=True))],
    services: ServicesDep,
    caller: CallerDep,
    response: Response,
) -> PredictionResponse | PromptsResponse:
    """Asks the model once for each row whose column is NULL, behind all that somebody waits for, with the limits of the
    key. A database's column is set as the answers come, where it is still NULL; a table of ours has it at the end.
    """
    _require_sense(request)
    over_documents = bool(request.documents or request.collection)
    model = await services.answers.model(request.model_name, over_documents=over_documents)
    wanted = Wanted(
        table=request.table,
        database=request.database,
        select=request.select,
        input=request.input,
        into=request.into,
        result=request.result,
        limit=request.limit,
        asked=_asked(request, model.name),
    )
    if request.dry_run:
        response.status_code = 200
        return PromptsResponse(
            prompts=await while_connected(http, services.predictions.prompts(wanted))
        )
    made = await while_connected(http, services.predictions.create(wanted, caller.key_id))
    response.headers["Location"] = f"/predict/{made.id}"
    return _response(Progress(made))


@router.get(
    "",
    operation_id="list_predictions",
    summary="List the predictions",
    responses=problems(404, 422),
    openapi_extra=documented(PageRequest),
)
async def list_predictions(
    request: Annotated[PageRequest, Depends(request_model(PageRequest))],
    services: ServicesDep,
) -> ListPredictionsResponse:
    """Newest first."""
    found, has_more = await services.predictions.page(request.after, request.limit)
    return ListPredictionsResponse(predictions=[_response(one) for one in found], has_more=has_more)


@router.get(
    "/{id}",
    operation_id="get_prediction",
    summary="One prediction",
    responses=problems(404, 422),
)
async def get_prediction(prediction_id: PredictionId, services: ServicesDep) -> PredictionResponse:
    """How far it is, and in how long it may be done."""
    return _response(await services.predictions.get(prediction_id))


@router.get(
    "/{id}/log",
    operation_id="get_prediction_log",
    summary="The log of a prediction",
    response_class=PlainTextResponse,
    responses=problems(404, 422),
)
async def get_prediction_log(prediction_id: PredictionId, services: ServicesDep) -> str:
    """What happened, and why rows have no value; a line each, of a long one the end."""
    return await services.predictions.log(prediction_id)


@router.post(
    "/{id}/cancel",
    operation_id="cancel_prediction",
    status_code=202,
    summary="Cancel a prediction",
    responses=problems(404, 409, 422),
)
async def cancel_prediction(
    prediction_id: PredictionId, services: ServicesDep
) -> PredictionResponse:
    """Asks no more rows. What was answered is kept: `resume` goes on there."""
    return _response(await services.predictions.cancel(prediction_id))


@router.post(
    "/{id}/resume",
    operation_id="resume_prediction",
    status_code=202,
    summary="Resume a prediction",
    responses=problems(404, 409, 422),
)
async def resume_prediction(
    prediction_id: PredictionId, services: ServicesDep
) -> PredictionResponse:
    """Goes on with one that was cancelled or has failed; no row that was answered or refused is asked again."""
    return _response(await services.predictions.resume(prediction_id))


@router.delete(
    "/{id}",
    operation_id="delete_prediction",
    summary="Delete a prediction",
    responses=problems(404, 409, 422),
)
async def delete_prediction(
    prediction_id: PredictionId, services: ServicesDep
) -> DeletePredictionResponse:
    """What it wrote stays. 409 while it is on its way: cancel it first."""
    gone = await services.predictions.delete(prediction_id)
    return DeletePredictionResponse(
        message=f"Successfully deleted {gone.id}", prediction_id=gone.id
    )


def _require_sense(request: PredictRequest) -> None:
    if request.select is not None and (request.table is not None or request.database is None):
        raise invalid("select", "Goes with `database`, and in the place of `table`.")
    if request.select is None and request.table is None:
        raise invalid("table", "Required, unless `select` is given.")
    if request.options and request.options.num_ctx is not None:
        raise invalid("options", "`num_ctx` is not set by rows: give it to a persona.")


def _asked(request: PredictRequest, model: str) -> Mapping[str, Any]:
    options = request.options.model_dump(exclude_none=True) if request.options else {}
    return {
        "model": model,
        "options": options,
        "system": request.system,
        "documents": list(request.documents),
        "collection": request.collection,
        "response_schema": request.response_schema,
    }


def _response(progress: Progress) -> PredictionResponse:
    one = progress.prediction
    return PredictionResponse(
        prediction_id=one.id,
        status=one.status,
        table=one.source.table,
        database=one.source.database or one.source.selected_from,
        input=one.input,
        into=one.into,
        result=one.result,
        model=one.wanted["model"],
        rows=one.total,
        completed=one.completed,
        failed=one.failed,
        seconds_left=progress.seconds_left,
        reason=one.reason,
        notice=one.notice,
        created_at=one.created_at,
        times=dict(one.times or {}),
    )
