"""An HTTP client of the fine-tuning routes over a workshop."""

from types import SimpleNamespace

import httpx2
from fastapi import FastAPI

from api.http.problems import install_problem_handlers
from api.routes.original import fine_tune, jobs
from tests.jobs.workshop import Workshop


def client_of(shop: Workshop) -> httpx2.AsyncClient:
    """A client whose requests never leave the process."""
    app = FastAPI()
    app.state.services = SimpleNamespace(
        settings=shop.settings, store=shop.store, submitter=shop.submitter, jobs=shop.supervisor
    )
    install_problem_handlers(app)
    for routes in (fine_tune, jobs):
        app.include_router(routes.router)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")
