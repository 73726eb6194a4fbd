"""metrics: the page that Prometheus reads."""

import anyio.to_thread
from fastapi import APIRouter, Response

from api.auth.refusals import ScopeMissing
from api.http.request import CallerDep, ServicesDep
from api.metrics import CONTENT_TYPE, Now
from api.metrics.gpus import gpus
from api.names import WORKSPACE

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="What a monitor reads",
    response_class=Response,
    responses={
        200: {
            "description": "The figures in Prometheus' text form.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    },
)
async def metrics(services: ServicesDep, caller: CallerDep) -> Response:
    """Answers and imports that run and wait, times to the first token and between tokens, tokens, jobs, documents, the
    memory of GPUs.

    They are those of all workspaces, so that only a key of the first one reads them.
    """
    if caller.workspace != WORKSPACE:
        raise ScopeMissing(
            f"The figures are those of all workspaces: ask with a key of {WORKSPACE!r}.",
            scope="metrics",
        )
    store = services.workspaces.store
    now = Now(
        answers=services.turns.figures(),
        imports=services.importer.figures(),
        batches=services.batches.figures(),
        jobs=await anyio.to_thread.run_sync(store.jobs.counts),
        documents=await anyio.to_thread.run_sync(store.documents.counts),
        gpus=await anyio.to_thread.run_sync(gpus),
    )
    return Response(services.figures.page(now), media_type=CONTENT_TYPE)
