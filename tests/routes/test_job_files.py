"""/jobs/{id}/files over HTTP: what a job has made is listed, fetched whole or in parts, and nothing else is."""

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from finetune.job.directory import JobDirectory
from tests.jobs.client import client_of
from tests.jobs.workshop import Workshop

pytestmark = pytest.mark.anyio
WEIGHTS = os.urandom(300_000)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    async with Workshop(tmp_path) as shop:
        yield shop


@pytest.fixture
async def client(shop: Workshop) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(shop) as client:
        yield client


def made(job: JobDirectory, stage: str, *names: str, content: bytes = WEIGHTS) -> None:
    """A stage that has finished these files."""
    directory = job.stage(stage)
    files = [directory.path / name for name in names]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
    directory.mark_done(files)


@pytest.fixture
async def job(shop: Workshop) -> JobDirectory:
    """A published job with a file of every kind but a merged model."""
    job = shop.directory(await shop.until(await shop.submit()))
    made(job, "train", "adapter/adapter_config.json", "adapter/adapter_model.safetensors")
    (job.path / "train" / "kept").mkdir(exist_ok=True)
    (job.path / "train" / "kept" / "optimizer.pt").write_bytes(b"pickle")
    made(job, "quantize", "model.gguf", "model-Q8_0.gguf")
    made(job, "dataset", "train.jsonl", "eval.jsonl", content=b"{}\n")
    made(job, "verify", "report.json", content=b"{}")
    return job


async def test_what_was_made_is_listed_with_its_hash(
    client: httpx2.AsyncClient, job: JobDirectory
) -> None:
    files = (await client.get(f"/jobs/{job.id}/files")).json()["files"]
    assert [one["path"] for one in files] == [
        *("Modelfile", "adapter.zip", "adapter/adapter_config.json"),
        *("adapter/adapter_model.safetensors", "dataset/eval.jsonl", "dataset/train.jsonl"),
        *("model-Q8_0.gguf", "model.gguf", "verify/report.json"),
    ]
    (gguf,) = [one for one in files if one["path"] == "model.gguf"]
    assert gguf["bytes"] == len(WEIGHTS)
    assert gguf["sha256"] == hashlib.sha256(WEIGHTS).hexdigest()


async def test_a_broken_download_goes_on_where_it_broke_off(
    client: httpx2.AsyncClient, job: JobDirectory
) -> None:
    path = f"/jobs/{job.id}/files/model.gguf"
    head = await client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(WEIGHTS))
    assert head.headers["content-disposition"] == 'attachment; filename="model.gguf"'
    tag = head.headers["etag"]
    assert tag == f'"{hashlib.sha256(WEIGHTS).hexdigest()}"'
    first = await client.get(path, headers={"Range": "bytes=0-99999"})
    rest = await client.get(path, headers={"Range": "bytes=100000-", "If-Range": tag})
    assert (first.status_code, rest.status_code) == (206, 206)
    assert rest.headers["content-range"] == f"bytes 100000-{len(WEIGHTS) - 1}/{len(WEIGHTS)}"
    assert first.content + rest.content == WEIGHTS
    last = await client.get(path, headers={"Range": "bytes=-5"})
    assert (last.status_code, last.content) == (206, WEIGHTS[-5:])


async def test_a_file_that_is_another_one_now_comes_whole(
    client: httpx2.AsyncClient, job: JobDirectory
) -> None:
    path = f"/jobs/{job.id}/files/model.gguf"
    stale = {"Range": "bytes=100000-", "If-Range": '"another"'}
    answer = await client.get(path, headers=stale)
    assert (answer.status_code, answer.content) == (200, WEIGHTS)
    tag = answer.headers["etag"]
    assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 304


async def test_a_part_beyond_the_file_is_refused_with_its_size(
    client: httpx2.AsyncClient, job: JobDirectory
) -> None:
    for part in ("bytes=300000-", "bytes=999999-1000000", "bytes=-0"):
        answer = await client.get(f"/jobs/{job.id}/files/model.gguf", headers={"Range": part})
        assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */300000")
        assert answer.json()["title"] == "No such part"


async def test_a_range_that_cannot_be_read_is_as_not_sent(
    client: httpx2.AsyncClient, job: JobDirectory
) -> None:
    for part in ("bytes=a-b", "lines=1-2", "bytes=5-2", "bytes=0-1,5-6", "bytes=-"):
        answer = await client.get(f"/jobs/{job.id}/files/model.gguf", headers={"Range": part})
        assert (answer.status_code, answer.content) == (200, WEIGHTS)


async def test_the_adapter_comes_as_one_zip(client: httpx2.AsyncClient, job: JobDirectory) -> None:
    answer = await client.get(f"/jobs/{job.id}/files/adapter.zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert contents == {
        f"{job.id}-adapter/adapter_config.json": WEIGHTS,
        f"{job.id}-adapter/adapter_model.safetensors": WEIGHTS,
    }


async def test_the_modelfile_says_what_ollama_must_be_told(
    client: httpx2.AsyncClient, job: JobDirectory, demo_gguf: Path
) -> None:
    shutil.copyfile(demo_gguf, job.gguf_path)
    text = (await client.get(f"/jobs/{job.id}/files/Modelfile")).text
    assert text.startswith('FROM ./model.gguf\nTEMPLATE """')
    assert "<|im_start|>assistant\n" in text
    assert 'PARAMETER stop "<|im_end|>"\n' in text


async def test_a_merged_model_is_there_on_wish_alone(
    client: httpx2.AsyncClient, job: JobDirectory
) -> None:
    path = f"/jobs/{job.id}/files/merged/model.safetensors"
    refused = await client.get(path)
    assert refused.status_code == 404
    assert "keep_merged=true" in refused.json()["detail"]
    made(job, "merge", "model.safetensors", "config.json")
    assert (await client.get(path)).content == WEIGHTS


async def test_what_is_not_in_the_list_cannot_be_fetched(
    client: httpx2.AsyncClient, job: JobDirectory, tmp_path: Path
) -> None:
    for path in (
        *("spec.json", "log.txt", "kept/optimizer.pt", "adapter", "dataset/done.json"),
        *("adapter/../kept/optimizer.pt", "..%2f..%2fspec.json", "%2e%2e/spec.json"),
        *("dataset/%2e%2e/%2e%2e/spec.json", "/etc/passwd"),
    ):
        assert (await client.get(f"/jobs/{job.id}/files/{path}")).status_code == 404, path
    secret = tmp_path / "secret"
    secret.write_bytes(WEIGHTS)
    linked = job.path / "dataset" / "train.jsonl"
    linked.unlink()
    linked.symlink_to(secret)
    assert (await client.get(f"/jobs/{job.id}/files/dataset/train.jsonl")).status_code == 404


async def test_an_unknown_jobs_files_are_not_found(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/jobs/job_unknown/files")).status_code == 404
    assert (await client.get("/jobs/job_unknown/files/model.gguf")).status_code == 404
