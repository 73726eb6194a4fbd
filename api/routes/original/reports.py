"""report: a job on one page, and several jobs side by side."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import ServicesDep, request_model

router = APIRouter(prefix="/jobs", tags=["jobs"])

BOTH: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/html": {}, "application/json": {"schema": {"type": "object"}}},
        "description": "As asked for.",
    }
}


class ReportRequest(BaseModel):
    """In which form."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["html", "json"] = Field(
        "html", description="`html` is one page that needs nothing beside itself."
    )


class CompareJobsRequest(BaseModel):
    """Which jobs, and in which form."""

    model_config = ConfigDict(extra="forbid")

    ids: str = Field(
        max_length=2000,
        description="Two to fifty jobs, with commas between their ids.",
        examples=["job_0123456789abcdef,job_fedcba9876543210"],
    )
    format: Literal["json", "html"] = Field("json", description="`html` is a page.")


@router.get(
    "/compare",
    operation_id="compare_jobs",
    summary="Several jobs side by side",
    response_class=Response,
    responses=problems(404, 422) | BOTH,
    openapi_extra=documented(CompareJobsRequest),
)
async def compare_jobs(
    request: Annotated[CompareJobsRequest, Depends(request_model(CompareJobsRequest))],
    services: ServicesDep,
) -> Response:
    """The settings in which they differ, and what each came to; `best` learned the same held-out rows best."""
    ids = [id.strip() for id in request.ids.split(",") if id.strip()]
    if request.format == "html":
        return HTMLResponse(await services.reports.comparison_page(ids))
    return JSONResponse(await services.reports.compared(ids))


@router.get(
    "/{id}/report",
    operation_id="read_job_report",
    summary="A job on one page",
    response_class=Response,
    responses=problems(404, 422) | BOTH,
    openapi_extra=documented(ReportRequest),
)
async def read_job_report(
    job_id: Annotated[
        str, Path(alias="id", description="The job's id.", examples=["job_0123456789abcdef"])
    ],
    request: Annotated[ReportRequest, Depends(request_model(ReportRequest))],
    services: ServicesDep,
) -> Response:
    """Data and lint, settings, what was predicted and what it took, loss, before and after, what was verified, hashes.

    Of a job that is not over yet what is known so far.
    """
    if request.format == "json":
        return JSONResponse(await services.reports.facts(job_id))
    return HTMLResponse(await services.reports.page(job_id))
