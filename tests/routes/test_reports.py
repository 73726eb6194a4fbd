"""/jobs/{id}/report and /jobs/compare over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.jobs.client import client_of
from tests.jobs.workshop import Workshop

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    async with Workshop(tmp_path) as shop:
        yield shop


@pytest.fixture
async def client(shop: Workshop) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(shop) as client:
        yield client


async def test_a_job_has_a_report_as_a_page_and_as_json(
    shop: Workshop, client: httpx2.AsyncClient
) -> None:
    job = await shop.until(await shop.submit("northwind", rank=8))
    answer = await client.get(f"/jobs/{job.id}/report")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>northwind</h1>" in answer.text
    assert "On the server 8 of 8 probes were answered as by the verified file." in answer.text
    facts = (await client.get(f"/jobs/{job.id}/report?format=json")).json()
    assert facts["status"] == "succeeded"
    assert facts["settings"]["rank"] == {"value": 8, "chosen": True}
    assert facts["training"]["losses"] == [[1, 1.0], [2, 0.5]]
    assert str(shop.jobs_dir) not in answer.text + str(facts)


async def test_a_queued_job_has_a_report_of_what_is_known(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    job = await shop.submit()
    async with client_of(shop) as client:
        assert (await client.get(f"/jobs/{job.id}/report?format=json")).json()["status"] == "queued"


async def test_jobs_are_compared(shop: Workshop, client: httpx2.AsyncClient) -> None:
    jobs = [await shop.until(await shop.submit(f"m{rank}", rank=rank)) for rank in (8, 16)]
    ids = ",".join(job.id for job in jobs)
    found = (await client.get(f"/jobs/compare?ids={ids}")).json()
    assert found["differences"] == {"rank": [8, 16]}
    assert [one["model"] for one in found["jobs"]] == ["m8", "m16"]
    page = await client.get(f"/jobs/compare?ids={ids}&format=html")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "2 fine-tunes side by side" in page.text


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/jobs/job_0123456789abcdef/report", 404, "No job"),
        ("/jobs/compare?ids=job_0123456789abcdef,job_1", 404, "No job"),
        ("/jobs/compare?ids=job_0123456789abcdef", 422, "1 different job is named"),
        ("/jobs/compare", 422, "ids"),
    ],
)
async def test_what_is_not_there_is_said(
    client: httpx2.AsyncClient, path: str, status: int, says: str
) -> None:
    answer = await client.get(path)
    assert answer.status_code == status
    assert says in str(answer.json())
