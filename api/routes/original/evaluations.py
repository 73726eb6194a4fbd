"""evaluations: begin, list, get, cancel, delete."""

from collections.abc import Sequence
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api.datasets.receiving import Upload as Sent
from api.evaluation.evaluations import Found, Wanted
from api.evaluation.questions import FIELD
from api.evaluation.values import Evaluation, Progress, Status
from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import CallerDep, ServicesDep, Upload, request_model, require_models
from api.routes.original.fields import BASE_MODEL, MODEL_NAME, HasMore, Name, PageRequest
from finetune.judging.metrics import Metric

router = APIRouter(prefix="/evaluations", tags=["evaluations"])

FILES = {
    FIELD: "What is asked, each question with its right answer: a dataset's file, or columns `question,answer`."
}
EvaluationId = Annotated[
    str,
    Path(alias="id", description="The evaluation's id.", examples=["ev_0123456789abcdef"]),
]


class BeginEvaluationRequest(BaseModel):
    """Which models are asked, over which documents, and how their answers are scored."""

    model_config = ConfigDict(extra="forbid")

    model_name: Name = Field(
        validation_alias=MODEL_NAME,
        description="The tuned model, or a persona.",
        examples=["northwind"],
    )
    base_model: Name | None = Field(
        None,
        validation_alias=BASE_MODEL,
        description="What it is held against; the base model below it when left out.",
        examples=["demo"],
    )
    documents: tuple[Name, ...] = Field(
        (),
        max_length=1000,
        description="Documents that both answer from too, by name or id, of those that the model can be asked about; "
        "`*` for all. None, and no `collection`: documents are no lever here.",
        examples=[["*"]],
    )
    collection: Name = Field(
        "",
        description="Where the documents are instead, by name or id; all of it without `documents`.",
    )
    metric: Metric = Field(
        "f1",
        description="How an answer is scored: `exact`, `contains`, `f1` (of words), `json` (equal values) or `regex`.",
    )
    metric_pattern: str | None = Field(
        None,
        max_length=1000,
        description="For `metric=regex`: what it finds in an answer must be what it finds in the right one.",
    )
    questions: Name | None = Field(
        None,
        description="A dataset's id, in the place of the file; of one with test rows those are asked.",
        examples=["ds_0123456789abcdef"],
    )
    limit: int = Field(
        100, ge=1, le=2000, description="Most questions that are asked: the first ones."
    )
    max_tokens: int | None = Field(
        None, ge=1, le=100_000, description="Longest answer in tokens; as `generate` when left out."
    )


class EvaluationSummary(BaseModel):
    """One evaluation."""

    evaluation_id: str
    status: Status
    model: str
    base_model: str
    documents: Sequence[str]
    collection: str
    metric: str
    metric_pattern: str | None
    questions: int
    created_at: str
    started_at: str | None
    ended_at: str | None
    waits_for: str | None = Field(description="Why it stands still, while it does.")
    error: dict[str, str] | None = Field(description="Why it has no result: title and detail.")


class EvaluationResponse(EvaluationSummary):
    """One evaluation with how far it is and what it found."""

    progress: Progress
    models: dict[str, dict[str, Any]] = Field(
        description="What the names meant when it began: digest and quantization of both."
    )
    result: dict[str, Any] | None = Field(
        description="In words (`says`), each arm's score and cost, each lever's gain with its 95 % interval, and the "
        "first ten questions with all answers."
    )


class EvaluationStateResponse(BaseModel):
    """Where the evaluation is now."""

    evaluation_id: str
    status: Status


class ListEvaluationsResponse(BaseModel):
    """Evaluations, newest first."""

    evaluations: list[EvaluationSummary]
    has_more: HasMore


class DeleteEvaluationResponse(BaseModel):
    """What was deleted."""

    message: str
    evaluation_id: str


@router.post(
    "",
    operation_id="begin_evaluation",
    status_code=202,
    summary="Ask base and tuned model the same questions, with documents and without",
    responses=problems(404, 408, 409, 413, 415, 422, 507),
    openapi_extra=documented(BeginEvaluationRequest, files=FILES),
)
async def begin_evaluation(
    request: Annotated[
        Upload[BeginEvaluationRequest],
        Depends(request_model(BeginEvaluationRequest, files=FILES)),
    ],
    services: ServicesDep,
    caller: CallerDep,
    response: Response,
) -> EvaluationStateResponse:
    """Says which lever helps, with intervals, and at what cost in tokens and seconds. Follow it at `Location`.

    One evaluation runs at a time; it waits while a job trains on the device that its models need, and goes on after a
    restart where it was.
    """
    values = request.values
    if values.base_model is None:
        root = services.store.models.root_of
        require_models(caller, await anyio.to_thread.run_sync(root, values.model_name))
    wanted = Wanted(
        model=values.model_name,
        base=values.base_model,
        documents=values.documents,
        collection=values.collection,
        metric=values.metric,
        metric_pattern=values.metric_pattern,
        limit=values.limit,
        max_tokens=values.max_tokens,
    )
    begun = await services.evaluations.begin(wanted, _questions(request))
    response.headers["Location"] = f"/evaluations/{begun.id}"
    return EvaluationStateResponse(evaluation_id=begun.id, status=begun.status)


@router.get(
    "",
    operation_id="list_evaluations",
    summary="List the evaluations",
    responses=problems(404, 422),
    openapi_extra=documented(PageRequest),
)
async def list_evaluations(
    request: Annotated[PageRequest, Depends(request_model(PageRequest))],
    services: ServicesDep,
) -> ListEvaluationsResponse:
    """Newest first."""
    found, has_more = await services.evaluations.page(request.after, request.limit)
    return ListEvaluationsResponse(
        evaluations=[EvaluationSummary(**_summary(one)) for one in found], has_more=has_more
    )


@router.get(
    "/{id}", operation_id="get_evaluation", summary="One evaluation", responses=problems(404, 422)
)
async def get_evaluation(evaluation_id: EvaluationId, services: ServicesDep) -> EvaluationResponse:
    """How far it is, and what it found."""
    return _response(await services.evaluations.show(evaluation_id))


@router.post(
    "/{id}/cancel",
    operation_id="cancel_evaluation",
    status_code=202,
    summary="Call an evaluation off",
    responses=problems(404, 409, 422),
)
async def cancel_evaluation(
    evaluation_id: EvaluationId, services: ServicesDep
) -> EvaluationStateResponse:
    """The answers so far are kept with it."""
    cancelled = await services.evaluations.cancel(evaluation_id)
    return EvaluationStateResponse(evaluation_id=cancelled.id, status=cancelled.status)


@router.delete(
    "/{id}",
    operation_id="delete_evaluation",
    summary="Delete an evaluation",
    responses=problems(404, 409, 422),
)
async def delete_evaluation(
    evaluation_id: EvaluationId, services: ServicesDep
) -> DeleteEvaluationResponse:
    """With its questions and answers. One on its way is a 409: cancel it first."""
    gone = await services.evaluations.delete(evaluation_id)
    return DeleteEvaluationResponse(
        message=f"Successfully deleted {gone.id}", evaluation_id=gone.id
    )


def _questions(request: Upload[BeginEvaluationRequest]) -> Sent | str:
    """The file, or the dataset's id, that was sent."""
    if FIELD in request.files:
        return Sent(request.files[FIELD].file, request.files[FIELD].filename)
    return str(request.values.questions)


def _summary(evaluation: Evaluation) -> dict[str, Any]:
    card = evaluation.card()
    names = {"evaluation_id": evaluation.id, "base_model": evaluation.base}
    return {
        **{name: card[name] for name in EvaluationSummary.model_fields if name in card},
        **names,
    }


def _response(found: Found) -> EvaluationResponse:
    models = {name: dict(known) for name, known in found.evaluation.models.items()}
    return EvaluationResponse(
        **_summary(found.evaluation),
        progress=found.progress,
        models=models,
        result=found.result,
    )
