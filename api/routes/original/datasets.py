"""datasets: add, list, get, delete."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api.datasets.datasets import FIELD, Dataset, report_of
from api.datasets.receiving import Upload as DatasetUpload
from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import ServicesDep, Upload, request_model
from api.routes.original.fields import BASE_MODEL, HasMore, Name, PageRequest
from finetune.data.rows import Fold
from finetune.job.parameters.data import Data
from finetune.lint.report import Figures, Finding, Sample

router = APIRouter(prefix="/datasets", tags=["datasets"])

FILES = {FIELD: "CSV, JSON Lines, JSON or Parquet, in one of the forms of docs/datasets.md."}
DatasetId = Annotated[
    str, Path(alias="id", description="The dataset's id.", examples=["ds_0123456789abcdef"])
]


class AddDatasetRequest(Data):
    """What it is called, who reads it, and what its columns are."""

    model_config = ConfigDict(extra="forbid")

    base_model: Name | None = Field(
        None,
        validation_alias=BASE_MODEL,
        description="The base whose chat template and tokenizer read the rows; the default when left out.",
        examples=["demo"],
    )
    name: Name | None = Field(
        None,
        description="What it is called; the file's name when left out.",
        examples=["faq of May"],
    )


class DatasetSummary(BaseModel):
    """One dataset."""

    dataset_id: str
    name: str
    base_model: str = Field(description="The base that read the rows.")
    kind: str = Field(description="What a row is: `chat`, `preference` or `text`.")
    rows: dict[Fold, int] = Field(description="How many there are for each fold.")
    errors: int = Field(description="Findings that keep it from being trained on.")
    warnings: int = Field(description="Findings that do not.")
    sha256: str = Field(description="Of the file as it was sent.")
    size_bytes: int
    created_at: str
    kept_until: str | None = Field(
        None,
        description="When it goes by itself; null unless a client of `/v1/files` asked for it.",
    )


class DatasetResponse(DatasetSummary):
    """One dataset with all that is known of it."""

    file_name: str | None
    format: str = Field(description="What the file is.")
    form: str = Field(description="Which of the known forms its columns have.")
    columns: dict[str, str] = Field(description="The file's column of each part of a row.")
    ignored_columns: list[str] = Field(description="Columns of which nothing is taken.")
    mapping: dict[str, Any] = Field(description="`columns`, `template` and `system`, as given.")
    cut_cells: list[int] = Field(
        description="Rows with a text of exactly 32,767 characters, where spreadsheets cut."
    )
    first_rows: list[dict[str, Any]] = Field(description="The first three, as understood.")
    samples: list[Sample] = Field(
        description="The same as the model reads them, with what is learned of them."
    )
    note: str | None = Field(description="Why no base has read the rows, where none has.")
    findings: list[Finding] = Field(description="What the linter says.")
    figures: Figures


class ListDatasetsResponse(BaseModel):
    """Datasets, newest first."""

    datasets: list[DatasetSummary]
    has_more: HasMore


class DeleteDatasetResponse(BaseModel):
    """What was deleted."""

    message: str
    dataset_id: str
    learned_by: list[str] = Field(
        description="Models that learned from it or were judged by it; they stay as they are."
    )


@router.post(
    "",
    operation_id="add_dataset",
    status_code=201,
    summary="Upload a dataset and have it looked at",
    responses=problems(404, 408, 413, 415, 422, 507),
    openapi_extra=documented(AddDatasetRequest, files=FILES),
)
async def add_dataset(
    request: Annotated[
        Upload[AddDatasetRequest],
        Depends(
            request_model(AddDatasetRequest, files=FILES, default_base="default_trainable_model")
        ),
    ],
    services: ServicesDep,
    response: Response,
) -> DatasetResponse:
    """Reads it to its end, shows the first rows as the model will read them, and says what would spoil a training.

    Nothing is trained; `fine_tune_model` takes the id in the place of a file, any number of times. A file that
    cannot be used is refused with row, column and reason.
    """
    file, values = request.files[FIELD], request.values
    upload = DatasetUpload(file.file, file.filename)
    added = await services.datasets.add(upload, values.name, values.base_model, values.wish())
    response.headers["Location"] = f"/datasets/{added.id}"
    return _response(added)


@router.get(
    "",
    operation_id="list_datasets",
    summary="List the datasets",
    responses=problems(404, 422),
    openapi_extra=documented(PageRequest),
)
async def list_datasets(
    request: Annotated[PageRequest, Depends(request_model(PageRequest))],
    services: ServicesDep,
) -> ListDatasetsResponse:
    """Newest first."""
    found, has_more = await services.datasets.page(request.after, request.limit)
    summaries = [DatasetSummary(**_summary(dataset)) for dataset in found]
    return ListDatasetsResponse(datasets=summaries, has_more=has_more)


@router.get(
    "/{id}", operation_id="get_dataset", summary="One dataset", responses=problems(404, 422)
)
async def get_dataset(dataset_id: DatasetId, services: ServicesDep) -> DatasetResponse:
    """What was understood of it, and what the linter said."""
    return _response(await services.datasets.get(dataset_id))


@router.delete(
    "/{id}", operation_id="delete_dataset", summary="Delete a dataset", responses=problems(404, 422)
)
async def delete_dataset(dataset_id: DatasetId, services: ServicesDep) -> DeleteDatasetResponse:
    """Jobs that learn from it have their own copy, and models that have learned from it stay.

    It leaves every vector store.
    """
    await services.datasets.get(dataset_id)
    await services.vector_stores.files.remove_everywhere(dataset_id)
    gone = await services.datasets.delete(dataset_id)
    models = await services.models.learned_from(gone.id, gone.sha256)
    return DeleteDatasetResponse(
        message=f"Successfully deleted {gone.id}", dataset_id=gone.id, learned_by=models
    )


def _summary(dataset: Dataset) -> dict[str, Any]:
    report = report_of(dataset)
    return {
        **{
            name: value
            for name, value in dataset.card.items()
            if name in DatasetSummary.model_fields
        },
        "dataset_id": dataset.id,
        "errors": len(report.errors),
        "warnings": len(report.warnings),
    }


def _response(dataset: Dataset) -> DatasetResponse:
    report = report_of(dataset)
    known = {
        name: dataset.card[name] for name in DatasetResponse.model_fields if name in dataset.card
    }
    return DatasetResponse(
        **known | _summary(dataset),
        samples=report.samples,
        note=report.not_read,
        findings=report.findings,
        figures=report.figures,
    )
