"""Alive, and ready."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from api.http.request import CallerDep
from api.names import WORKSPACE
from api.readiness import Readiness

router = APIRouter(tags=["health"])


class HealthResponse(BaseModel):
    """It answers."""

    status: Literal["alive"] = "alive"


class ReadyResponse(BaseModel):
    """Whether all is ready, and each back end by name."""

    status: Literal["ready", "not ready"]
    checks: dict[str, str] = Field(description="`ready`, or what is the matter.")
    hints: list[str] = Field(description="What the operator may want to look at.")
    embedder: str = Field("", description="What embeds new collections, and how it is used.")


@router.get("/healthz", operation_id="healthz", summary="Is the service alive")
async def healthz() -> HealthResponse:
    """Answers as long as the process lives; asks nothing else and needs no key."""
    return HealthResponse()


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Is every back end ready",
    responses={
        503: {
            "model": ReadyResponse,
            "description": "Something is being prepared, or away; `checks` says what.",
        }
    },
)
async def readyz(request: Request, caller: CallerDep, response: Response) -> ReadyResponse:
    """Each back end by name (`ready`, or what is the matter), and hints for the operator.

    What is the matter may name what is another workspace's, so that it is told to the first one alone.
    """
    readiness: Readiness = request.app.state.readiness
    checks, hints = await readiness.ask()
    embedder = await readiness.embedder()
    ready = all(state == "ready" for state in checks.values())
    if not ready:
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    if caller.workspace != WORKSPACE:
        hints = []
        checks = {name: "ready" if one == "ready" else "not ready" for name, one in checks.items()}
    return ReadyResponse(
        status="ready" if ready else "not ready", checks=checks, hints=hints, embedder=embedder
    )
