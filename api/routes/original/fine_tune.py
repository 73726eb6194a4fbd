"""fine_tune_model."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AliasChoices, AliasGenerator, BaseModel, ConfigDict, Field

from api.datasets.receiving import Upload as DatasetUpload
from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import ServicesDep, Upload, request_model
from api.http.request_body import invalid
from api.http.sse import while_connected
from api.jobs.inputs import FIELDS, Given
from api.jobs.pages import PagesOf
from api.jobs.submit import Submission
from api.routes.original.fields import BASE_MODEL, Name
from api.services import Services
from api.tables.learned import TrainTable
from finetune.data.rows import Fold
from finetune.job.spec import TrainingParameters
from finetune.lint.report import Report

router = APIRouter(tags=["fine-tuning"])

FILES = {
    "train_dataset": "What is learned: CSV, JSON Lines, JSON or Parquet, in one of the forms of docs/datasets.md. "
    "Required but where documents are learned from.",
    "eval_dataset": "What judges checkpoints, of the same form; some rows are held out when left out.",
    "test_dataset": "What judges the result in the end; of 100 rows or more some are held out when left out.",
}

SPELLINGS = {
    "base_model": BASE_MODEL,
    "gradient_accumulation_steps": AliasChoices("gradient_accumulation_steps", "gradAcc"),
    "learning_rate": AliasChoices("learning_rate", "lr"),
    "gradient_checkpointing": AliasChoices("gradient_checkpointing", "gc"),
    "rank": AliasChoices("lora_rank", "rank"),
}


class StartRequest(BaseModel):
    """What to train from and on, and whether to."""

    model_config = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=lambda name: SPELLINGS.get(name, name))
    )

    base_model: Name | None = Field(
        None,
        description="A trainable base, or a persona or fine-tune of one; the default when left out.",
        examples=["demo"],
    )
    train_dataset: Name | None = Field(
        None,
        description="A dataset's id, in the place of the file.",
        examples=["ds_0123456789abcdef"],
    )
    train_table: TrainTable | None = Field(
        None,
        description="In the place of `train_dataset`: the rows of a table, or of a database, as they are now. "
        "`columns` and `template` say what its columns are.",
        examples=[{"table": "faq"}],
    )
    eval_dataset: Name | None = Field(
        None, description="The same for the rows that judge checkpoints."
    )
    test_dataset: Name | None = Field(
        None, description="The same for the rows that judge the result in the end."
    )
    documents: tuple[Name, ...] = Field(
        (),
        max_length=1000,
        description="With `method=pretrain`, in the place of `train_dataset`: imported documents, by name or id, whose "
        "pages are learned; `*` for all that the base model can be asked about.",
    )
    collection: Name = Field(
        "",
        description="The collection that these documents are in, by name or id; all of it when none are named.",
    )
    dry_run: bool = Field(
        False, description="Check everything and say what would run; keep nothing."
    )


class FineTuneRequest(TrainingParameters, StartRequest):
    """What to train from, and how."""


class FineTuneResponse(BaseModel):
    """The job that was queued."""

    job_id: str
    status: str


class PlanResponse(BaseModel):
    """What would run."""

    rows: int = Field(description="Rows that are learned.")
    eval_rows: int = Field(description="Rows that judge checkpoints.")
    test_rows: int = Field(description="Rows that judge the result in the end.")
    gradient_accumulation_steps: int = Field(description="As asked, or as chosen for these rows.")
    steps: int = Field(
        description="Optimiser steps; fewer when rows are packed. Of `pretrain` as if each text were one sequence."
    )
    preflight: dict[str, Any] | None = Field(
        description="What it will need: `ram_bytes` and `seconds` of each stage, `vram_bytes`, `disk_bytes`, "
        "`total_seconds`, `warnings`, and settings that would be `faster`. Null while no machine to train on is known."
    )
    lint: Report | None = Field(description="What the linter says of the rows.")
    warnings: list[dict[str, Any]] = Field(
        description="What else the job would warn of: `kind` and `detail`, such as too few held-out rows."
    )
    spec: dict[str, Any]


@router.post(
    "/fine_tune_model/{modelName}",
    operation_id="fine_tune_model",
    status_code=202,
    summary="Fine-tune a model on a dataset",
    response_model=FineTuneResponse,
    responses=problems(404, 408, 409, 413, 415, 422, 429, 507)
    | {200: {"model": PlanResponse, "description": "What would run (`dry_run=true`)."}},
    openapi_extra=documented(FineTuneRequest, optional_files=FILES),
)
async def fine_tune_model(
    http: Request,
    model_name: Annotated[
        str, Path(alias="modelName", description="The new model's name.", examples=["northwind"])
    ],
    request: Annotated[
        Upload[FineTuneRequest],
        Depends(
            request_model(
                FineTuneRequest, optional_files=FILES, default_base="default_trainable_model"
            )
        ),
    ],
    services: ServicesDep,
    response: Response,
) -> Any:
    """Queues a job that trains, converts, verifies and publishes the model; follow it at `Location`.

    Files are CSV, JSON Lines, JSON or Parquet; their columns are known by name (`messages`, `prompt,completion`,
    `instruction,input,output`, `conversations`, `prompt,chosen,rejected`, `text`) or said in `columns`. A file that
    cannot be used is refused with row and reason before anything starts. A dataset's id may stand in a file's place.
    """
    async with _given(http, request, services) as given:
        submission = Submission(
            model_name,
            request.values.base_model,
            request.values.model_dump(include=set(TrainingParameters.model_fields)),
            given,
            pages=PagesOf(request.values.documents, request.values.collection),
        )
        return await _begun(submission, request.values, services, response)


async def _begun(
    submission: Submission, request: FineTuneRequest, services: Services, response: Response
) -> Any:
    if request.dry_run:
        plan = await services.jobs.plan(submission)
        return JSONResponse(
            PlanResponse(
                rows=plan.rows,
                eval_rows=plan.eval_rows,
                test_rows=plan.test_rows,
                gradient_accumulation_steps=plan.gradient_accumulation_steps,
                steps=plan.steps,
                preflight=plan.preflight,
                lint=plan.lint,
                warnings=[dict(warning) for warning in plan.warnings],
                spec=plan.spec.model_dump(exclude={"base_model_folder"}),
            ).model_dump()
        )
    job = await services.jobs.submit(submission)
    response.headers["Location"] = f"/jobs/{job.id}"
    return FineTuneResponse(job_id=job.id, status=job.status)


@contextlib.asynccontextmanager
async def _given(
    http: Request, request: Upload[FineTuneRequest], services: Services
) -> AsyncIterator[Given]:
    """For each fold the file, or the dataset's id, that was sent; of a table its rows."""
    given: dict[Fold, DatasetUpload | str] = {}
    for fold, name in FIELDS.items():
        if name in request.files:
            given[fold] = DatasetUpload(request.files[name].file, request.files[name].filename)
        elif dataset := getattr(request.values, name):
            given[fold] = dataset
    values = request.values
    async with contextlib.AsyncExitStack() as stack:
        if rows := values.train_table:
            if "train" in given:
                raise invalid("train_table", "Given beside `train_dataset`: send one of them.")
            copied = stack.enter_async_context(services.learned.copied(rows))
            given["train"] = await while_connected(http, copied)
        if "train" not in given and not (values.documents or values.collection):
            raise invalid(
                "train_dataset",
                "The file is missing: send it as a part of multipart/form-data, or as a text the id of one that is "
                "here, or name a `train_table`; with method=pretrain `documents` or `collection` will do.",
            )
        yield given
