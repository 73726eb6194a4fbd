"""metrics: the page that Prometheus reads."""

import anyio.to_thread
from fastapi import APIRouter, Response

from api.http.request import ServicesDep
from api.metrics import CONTENT_TYPE

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
async def metrics(services: ServicesDep) -> Response:
    """Answers that run and wait, times to the first token and between tokens, tokens, jobs, documents."""
    store = services.workspaces.store
    jobs = await anyio.to_thread.run_sync(store.jobs.counts)
    documents = await anyio.to_thread.run_sync(store.documents.counts)
    page = services.figures.page(services.turns.figures(), jobs, documents)
    return Response(page, media_type=CONTENT_TYPE)
