"""`llm-fastapi clean`: what it says, what it asks, what goes, and that nothing else does."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.__main__ import main
from api.data_folder import DataFolder
from api.index.chroma_server import open_server
from api.runtime import ExistingModel, Persona
from api.runtime.ollama.client import OllamaClient
from api.runtime.ollama.runtime import OllamaRuntime
from api.settings import Settings
from api.store import open_store
from finetune.job.directory import JobDirectory
from tests.documents.house import House
from tests.documents.pdfs import pdf
from tests.index.servers import chroma_server
from tests.jobs.workshop import Workshop

FIRST, SECOND = pdf("The tower of Lindau is 90 metres high."), pdf("The bridge is from 1901.")


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the command reads."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLM_FASTAPI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return Settings()


@contextmanager
def chroma(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that the settings name."""
    with chroma_server(settings.data_dir.parent / "server") as server:
        monkeypatch.setenv("LLM_FASTAPI_CHROMA_URL", server.start().url)
        yield server.url


Visit = Callable[[House], Awaitable[None]]


def visited(settings: Settings, url: str, visit: Visit) -> None:
    """The house over the data folder, open for as long as the visit takes."""

    async def stay() -> None:
        vectors: Any = {"vectors": open_server(url)} if url else {"embedded": True}
        house = House(settings.data_dir, **vectors).open()
        try:
            await visit(house)
        finally:
            await house.close()

    asyncio.run(stay())


async def fill(house: House) -> None:
    """Two documents of two owners."""
    await house.bring(FIRST, "first.pdf")
    await house.bring(SECOND, "second.pdf", model="")
    assert house.is_whole()


@pytest.fixture(params=["embedded", "server"])
def url(
    request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Each profile in turn, with documents; the server's address, or nothing."""
    settings.data_dir.mkdir()
    if request.param == "embedded":
        visited(settings, "", fill)
        yield ""
        return
    with chroma(settings, monkeypatch) as address:
        visited(settings, address, fill)
        yield address


def test_vectors_go_alone_and_come_back_and_documents_go_whole(
    settings: Settings, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def look_without_vectors(house: House) -> None:
        assert house.vector_ids() == set()
        assert len(house.store.documents.all("ready")) == 2
        await house.index.repair()
        assert house.is_whole()
        assert len(house.vector_ids()) == 2

    async def look_without_documents(house: House) -> None:
        assert house.is_empty()
        await fill(house)

    assert main(["clean", "vectors", "--yes"]) == 0
    said = capsys.readouterr().out
    assert "vectors: 2, " in said
    assert "1 vectors of collection demo" in said
    visited(settings, url, look_without_vectors)

    assert main(["clean", "documents", "--yes"]) == 0
    said = capsys.readouterr().out
    assert "documents: 2, " in said
    assert "first.pdf" in said
    assert said.endswith("Deleted.\n")
    visited(settings, url, look_without_documents)


@pytest.mark.parametrize("what", ["documents", "vectors", "models", "jobs"])
def test_where_nothing_is_there_is_nothing_to_ask(
    settings: Settings, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["clean", what]) == 0
    assert capsys.readouterr().out == f"{what}: there are none.\n"


def with_models(settings: Settings) -> None:
    """A base, a persona, a fine-tune, one that is being checked, and a record of one that is lost."""
    manifests = settings.models_dir / "manifests"
    manifests.mkdir(parents=True)
    for number, name in enumerate(("demo", "ada", "tuned", "tuned--checking")):
        manifest = {"name": name, "blob": "sha256-0.gguf", "base": None, "embeds": False}
        manifest |= {"created_at": "2026-01-01T00:00:00+00:00", "system": "", "template": None}
        (manifests / f"{number:032x}.json").write_text(json.dumps(manifest | {"parameters": {}}))
    with_records(settings)


def with_records(settings: Settings) -> None:
    """What we know of the persona, the fine-tune and the lost one."""
    settings.data_dir.mkdir(exist_ok=True)
    store = open_store(settings.database_path)
    store.models.put("ada", "persona", "demo")
    store.models.put("tuned", "fine-tune", "demo", "job_1")
    store.models.put("lost", "persona", "demo")
    store.close()


def models(settings: Settings) -> tuple[list[str], list[str]]:
    """The models there are, and the records of models."""
    store = open_store(settings.database_path)
    records = sorted(store.models.all())
    store.close()
    manifests = settings.models_dir.glob("manifests/*.json")
    return sorted(json.loads(path.read_text())["name"] for path in manifests), records


def test_created_models_go_and_bases_and_all_else_stay(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with_models(settings)
    job = JobDirectory(settings.jobs_dir / "job_1")
    job.path.mkdir(parents=True)
    job.request_start()
    assert main(["clean", "models", "--yes"]) == 0
    assert "models: 4, " in capsys.readouterr().out
    assert models(settings) == (["demo"], [])
    assert job.is_start_requested()
    assert main(["clean", "models", "--yes", "--all"]) == 0
    assert models(settings) == ([], [])


@pytest.mark.real
def test_in_ollama_created_models_go_and_pulled_ones_stay(
    settings: Settings, ollama_double: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def create(*names: str) -> None:
        for name in names:
            await runtime.create_model(name, ExistingModel("demo"), Persona())

    runtime = OllamaRuntime(OllamaClient(ollama_double, start_seconds=60))
    monkeypatch.setenv("LLM_FASTAPI_RUNTIME", "ollama")
    monkeypatch.setenv("LLM_FASTAPI_OLLAMA_URL", ollama_double)
    asyncio.run(create("ada", "tuned", "tuned--checking", "stranger"))
    with_records(settings)
    assert main(["clean", "models", "--yes"]) == 0
    left = [model.name for model in asyncio.run(runtime.models())]
    assert left == ["demo", "embedder", "stranger"]
    assert models(settings)[1] == []


@pytest.mark.parametrize(
    ("typed", "status", "left"), [("y\n", 0, 1), ("\n", 2, 4), ("no\n", 2, 4), ("", 2, 4)]
)
def test_somebody_at_a_terminal_is_asked(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, typed: str, status: int, left: int
) -> None:
    with_models(settings)
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    assert main(["clean", "models"]) == status
    assert len(models(settings)[0]) == left


@pytest.mark.parametrize(("options", "status"), [([], 2), (["--check"], 0)])
def test_without_a_yes_nothing_is_deleted(
    settings: Settings, options: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with_models(settings)
    assert main(["clean", "models", *options]) == status
    assert "ada" in capsys.readouterr().out
    assert len(models(settings)[0]) == 4


def test_what_keeps_it_from_cleaning_is_one_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = DataFolder(settings.data_dir)
    assert main(["clean", "documents", "--yes"]) == 1
    assert "Another server" in capsys.readouterr().err
    folder.release()
    monkeypatch.setenv("LLM_FASTAPI_CHROMA_URL", "http://127.0.0.1:1")
    assert main(["clean", "documents", "--yes"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("llm-fastapi: The ChromaDB server at http://127.0.0.1:1 does not answer")
    assert said.count("\n") == 1


def test_jobs_that_have_ended_go_and_those_on_their_way_stay(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fill() -> list[str]:
        shop = Workshop(settings.data_dir)
        ended, waiting = await shop.submit("ended"), await shop.submit("waiting")
        shop.store.jobs.move(ended.id, "cancelled")
        await shop.vanish()
        return [ended.id, waiting.id]

    ended, waiting = asyncio.run(fill())
    assert main(["clean", "jobs", "--check"]) == 0
    assert f"{ended} (ended, cancelled)" in capsys.readouterr().out
    assert main(["clean", "jobs", "--yes"]) == 0
    assert [path.name for path in settings.jobs_dir.glob("job_*")] == [waiting]
    store = open_store(settings.database_path)
    assert [job.id for job in store.jobs.all()] == [waiting]
    store.close()


def test_all_is_for_models() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["clean", "documents", "--all", "--yes"])
    assert ended.value.code == 2
