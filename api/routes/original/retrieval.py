"""evaluations/retrieval: is the right page found? Propose questions, measure, list, get, compare, delete."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.datasets.receiving import Upload as Sent
from api.evaluation.retrieval import Measured, Where
from api.evaluation.retrieval_figures import SHOWN, Comparison, FoundPage, Metric
from api.evaluation.retrieval_proposals import MOST, Proposal
from api.evaluation.retrieval_questions import FIELD
from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import CallerDep, ServicesDep, Upload, default_for, request_model
from api.http.sse import while_connected
from api.routes.original.fields import MODEL_NAME, HasMore, Name, PageRequest

router = APIRouter(prefix="/evaluations/retrieval", tags=["evaluations"])

FILES = {
    FIELD: "What is asked: CSV, JSON Lines or JSON with `question`, `document` and `page` (or `pages`: `3-5`, `3;7`)."
}
MeasurementId = Annotated[
    str,
    Path(alias="id", description="The measurement's id.", examples=["me_0123456789abcdef"]),
]


class MeasureRequest(BaseModel):
    """Where the questions are asked."""

    model_config = ConfigDict(extra="forbid")

    model_name: Name = Field(
        "",
        validation_alias=MODEL_NAME,
        description="The model whose documents are searched; that of the settings where neither it nor `collection` is "
        "given.",
        examples=["ada"],
    )
    collection: Name = Field(
        "", description="Where to look instead of among the model's documents, by name or id."
    )


class ProposeRequest(BaseModel):
    """Who makes questions up, about which documents."""

    model_config = ConfigDict(extra="forbid")

    model_name: Name = Field(
        "",
        validation_alias=MODEL_NAME,
        description="The model that makes them up; that of the settings when left out.",
        examples=["ada"],
    )
    collection: Name = Field(
        "", description="About these documents instead of the model's, by name or id."
    )
    count: int = Field(20, ge=1, le=MOST, description="Most questions to make up.")
    seed: int = Field(0, ge=0, description="Another one chooses other passages.")


class ProposeResponse(BaseModel):
    """Questions as a measurement takes them, one a line when written as JSON Lines."""

    questions: list[Proposal] = Field(
        description="Fewer than asked for where the model's answers were no questions."
    )
    why_fewer: str = Field(
        description="What came of the passages that were asked about, when there are fewer; else empty."
    )


class ExpectedPage(BaseModel):
    """A page that answers a question, as the file names it."""

    document: str
    page: int


class CollectionOfMeasurement(BaseModel):
    """A collection that was searched."""

    id: str
    name: str


class Miss(BaseModel):
    """A question whose page is not among the first five, and what was found instead."""

    question: str
    proposed_by: str = Field(description="The model that made the question up, if one did.")
    expected: list[ExpectedPage]
    ranks: list[int] = Field(description="Where the pages stand, if they are among the first ten.")
    found: list[FoundPage] = Field(description="The first five pages, each with its best passage.")


class MeasurementSummary(BaseModel):
    """How well pages were found, and under which settings."""

    measurement_id: str
    created_at: str
    model: str
    collections: list[CollectionOfMeasurement]
    documents: int = Field(description="How many could be found.")
    settings: dict[str, Any] = Field(
        description="What a search depends on: versions of the embedders, chunks, weights."
    )
    questions: int
    questions_sha256: str = Field(description="Equal where the same was asked.")
    proposed: int = Field(description="How many of the questions a model made up.")
    misses: int = Field(description="Questions none of whose pages is among the first five.")
    unknown_documents: list[str] = Field(
        description="Documents that questions name and that are not there: they count as misses."
    )
    metrics: dict[str, Metric] = Field(
        description="`hit@1`, `hit@5`, `mrr@10` and `ndcg@10` over pages, each with its 95 % interval. A page counts "
        "once, at its best passage."
    )
    seconds: dict[str, float] = Field(description="`p50` and `p95` of a search.")


class MeasurementResponse(MeasurementSummary):
    """The same with what was missed."""

    missed: list[Miss] = Field(description=f"The first {SHOWN}.")
    comparison: Comparison | None = Field(
        None, description="With `against`: the change from that measurement to this one."
    )


class GetMeasurementRequest(BaseModel):
    """What to hold it against."""

    model_config = ConfigDict(extra="forbid")

    against: Name | None = Field(
        None,
        description="An earlier measurement's id: paired differences over the questions that both asked.",
        examples=["me_fedcba9876543210"],
    )


class ListMeasurementsRequest(PageRequest):
    """Which part of the list."""

    collection: Name = Field("", description="Only those of this collection, by name or id.")


class ListMeasurementsResponse(BaseModel):
    """Measurements, newest first."""

    measurements: list[MeasurementSummary]
    has_more: HasMore


class DeleteMeasurementResponse(BaseModel):
    """What was deleted."""

    message: str
    measurement_id: str


@router.post(
    "",
    operation_id="measure_retrieval",
    status_code=201,
    summary="Is the right page found? Ask questions whose pages are known",
    responses=problems(404, 408, 409, 413, 415, 422, 502, 503, 507),
    openapi_extra=documented(MeasureRequest, files=FILES),
)
async def measure_retrieval(
    request: Annotated[Upload[MeasureRequest], Depends(request_model(MeasureRequest, files=FILES))],
    services: ServicesDep,
    caller: CallerDep,
    response: Response,
) -> MeasurementResponse:
    """Each question is searched as `/search` does, without rephrasing, over all documents there; at most 2,000.

    It is kept with the settings of the search, so that another embedding model, or other chunks, can be held against
    it: `GET /evaluations/retrieval/{id}?against=EARLIER`.
    """
    values = request.values
    model = None
    if values.model_name or not values.collection:
        name = values.model_name or default_for(caller, services)
        model = await services.answers.model(name, over_documents=True)
    sent = request.files[FIELD]
    measured = await services.measurements.measure(
        Where(model, values.collection), Sent(sent.file, sent.filename)
    )
    response.headers["Location"] = f"/evaluations/retrieval/{measured.id}"
    return _response(measured)


@router.get(
    "",
    operation_id="list_measurements",
    summary="The history of how well pages were found",
    responses=problems(404, 422),
    openapi_extra=documented(ListMeasurementsRequest),
)
async def list_measurements(
    request: Annotated[ListMeasurementsRequest, Depends(request_model(ListMeasurementsRequest))],
    services: ServicesDep,
) -> ListMeasurementsResponse:
    """Newest first, each with its figures and its settings."""
    found, has_more = await services.measurements.page(
        request.after, request.limit, request.collection
    )
    return ListMeasurementsResponse(
        measurements=[
            MeasurementSummary.model_validate(_summary(id, card)) for id, card in found.items()
        ],
        has_more=has_more,
    )


@router.post(
    "/proposals",
    operation_id="propose_questions",
    summary="Have a model make up questions from the documents",
    responses=problems(404, 409, 422, 502, 503),
    openapi_extra=documented(ProposeRequest),
)
async def propose_questions(
    request: Annotated[ProposeRequest, Depends(request_model(ProposeRequest, default_model=True))],
    services: ServicesDep,
    http: Request,
) -> ProposeResponse:
    """One chat for each, about passages from all over the documents; nothing is kept.

    Each says by `proposed_by` who made it up, and so does every measurement that asks it. Read them before you trust
    them: a made-up question has the words of its passage, and is easier to find than a person's.
    """
    model = await services.answers.model(request.model_name, over_documents=False)
    made = services.proposals.make(model, request.collection, request.count, request.seed)
    proposed = await while_connected(http, made)
    return ProposeResponse(questions=proposed.questions, why_fewer=proposed.why_fewer)


@router.get(
    "/{id}",
    operation_id="get_measurement",
    summary="One measurement, or two side by side",
    responses=problems(404, 422),
    openapi_extra=documented(GetMeasurementRequest),
)
async def get_measurement(
    measurement_id: MeasurementId,
    request: Annotated[GetMeasurementRequest, Depends(request_model(GetMeasurementRequest))],
    services: ServicesDep,
) -> MeasurementResponse:
    """Its figures, what it missed, and with `against` what changed since another one."""
    answer = _response(await services.measurements.show(measurement_id))
    if request.against is not None:
        compared = await services.measurements.compare(measurement_id, request.against)
        answer.comparison = compared
    return answer


@router.delete(
    "/{id}",
    operation_id="delete_measurement",
    summary="Delete a measurement",
    responses=problems(404, 422),
)
async def delete_measurement(
    measurement_id: MeasurementId, services: ServicesDep
) -> DeleteMeasurementResponse:
    """With its questions and what they found."""
    await services.measurements.delete(measurement_id)
    return DeleteMeasurementResponse(
        message=f"Successfully deleted {measurement_id}", measurement_id=measurement_id
    )


def _summary(id: str, card: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: card[name] for name in MeasurementSummary.model_fields if name in card}
    return {**known, "measurement_id": id}


def _response(measured: Measured) -> MeasurementResponse:
    missed = [
        Miss(
            question=one.question,
            proposed_by=one.proposed_by,
            expected=[ExpectedPage(**page) for page in one.expected],
            ranks=list(one.ranks),
            found=list(one.found[:5]),
        )
        for one in measured.outcomes
        if one.is_miss
    ]
    return MeasurementResponse.model_validate(
        {**_summary(measured.id, measured.card), "missed": missed[:SHOWN]}
    )
