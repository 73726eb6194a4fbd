"""An HTTP client of the service over a workshop."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import anyio.to_thread
import httpx2

from api.jobs.queue import JobQueue
from api.opening import services_over
from api.services import Services
from api.settings import Settings
from api.store import Store
from api.sweeps.opening import open_sweeps
from tests.documents.house import House
from tests.jobs.workshop import Workshop
from tests.service import ADDRESS, Opening


@contextlib.asynccontextmanager
async def client_of(shop: Workshop) -> AsyncIterator[httpx2.AsyncClient]:
    """A client whose requests never leave the process; the jobs behind it are the workshop's."""

    async def open(settings: Settings, _store: Store, stack: contextlib.AsyncExitStack) -> Services:
        index = House(settings.data_dir).open(shop.store).index
        stack.callback(index.close)
        services = await services_over(
            settings, shop.store, stack, shop.runtime, index, shop.runner
        )
        jobs = JobQueue(shop.store, shop.runtime, shop.submitter, shop.supervisor)
        sweeps = open_sweeps(settings, shop.store, shop.runtime, jobs)
        sweeps.start()
        stack.push_async_callback(sweeps.close)
        return replace(services, jobs=jobs, sweeps=sweeps)

    opening = Opening(shop.settings, open)
    transport = httpx2.ASGITransport(opening.app, raise_app_exceptions=False)
    async with (
        opening.app.router.lifespan_context(opening.app),
        httpx2.AsyncClient(transport=transport, base_url=ADDRESS) as client,
    ):
        await anyio.to_thread.run_sync(opening.wait)
        yield client
