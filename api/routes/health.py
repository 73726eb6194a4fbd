"""Alive, and ready."""

from typing import Any

from fastapi import APIRouter, Request, Response

from api.readiness import Readiness

router = APIRouter(tags=["health"])


@router.get("/healthz", operation_id="healthz", summary="Is the service alive")
async def healthz() -> dict[str, str]:
    """Answers as long as the process lives; asks nothing else and needs no key."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Is every back end ready",
    responses={503: {"description": "Something is being prepared, or away; `checks` says what."}},
)
async def readyz(request: Request, response: Response) -> dict[str, Any]:
    """Each back end by name (`ready`, or what is the matter), and hints for the operator."""
    readiness: Readiness = request.app.state.readiness
    checks, hints = await readiness.ask()
    ready = all(state == "ready" for state in checks.values())
    if not ready:
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    return {"status": "ready" if ready else "not ready", "checks": checks, "hints": hints}
