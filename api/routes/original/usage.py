"""usage: what was used, by key, model and day."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import AuthDep, CallerDep, request_model
from api.names import WORKSPACE

router = APIRouter(tags=["keys"])


class UsageRequest(BaseModel):
    """Which days, and whose."""

    model_config = ConfigDict(extra="forbid")

    days: int = Field(30, ge=1, le=3660, description="So many days up to today, in UTC.")
    key_id: str | None = Field(
        None, max_length=60, description="That key only.", examples=["key_0123456789abcdef"]
    )


class UsageRow(BaseModel):
    """One key, one model, one day."""

    day: str
    key_id: str = Field(description="`open` without a key, `first` for LLM_FASTAPI_API_KEY.")
    alias: str
    workspace: str
    model: str = Field(description="Empty where a request asked none.")
    requests: int
    prompt_tokens: int
    completion_tokens: int


class UsageResponse(BaseModel):
    """What was used, the newest day first."""

    usage: list[UsageRow]


@router.get(
    "/usage",
    operation_id="usage",
    summary="What was used, by key, model and day",
    responses=problems(422),
    openapi_extra=documented(UsageRequest),
)
async def usage(
    request: Annotated[UsageRequest, Depends(request_model(UsageRequest))],
    auth: AuthDep,
    caller: CallerDep,
) -> UsageResponse:
    """An admin of the first workspace sees all, an admin of another one its keys, everybody else what is their own.

    Requests that only read (GET) are not counted, nor are those that were refused.
    """
    since = (datetime.now(UTC).date() - timedelta(days=request.days - 1)).isoformat()
    key_id = request.key_id if caller.may("admin") else caller.key_id
    workspace = None if caller.workspace == WORKSPACE else caller.workspace
    await auth.usage.write()
    uses = await anyio.to_thread.run_sync(auth.store.keys.used, since, key_id, workspace)
    wanted = [one for one in uses if request.key_id in (None, one.key_id)]
    return UsageResponse(usage=[UsageRow(**asdict(one)) for one in wanted])
