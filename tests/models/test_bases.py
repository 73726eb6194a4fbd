"""Base models that lie in the data folder: the service takes their GGUF files in, and trains from their folders."""

import asyncio
import os
import shutil
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from api.errors import ModelNotFound
from api.index.embeddings import Embedder
from api.models.bases import BaseModels
from api.models.bundled import BundledModels, install_demo_base, open_bundled
from api.models.catalog import ModelCatalog
from api.runtime import GGUFFile, Message, ModelRuntime, ModelSource, Options, Persona
from api.runtime.opening import open_llama_cpp
from api.settings import Settings
from api.store import Store
from api.store.folders import open_folders
from finetune.bases.load import Wanted, load
from tests.conftest import DEMO_MODEL
from tests.databases import open_migrated
from tests.fakes import FakeRuntime
from tests.jobs.workshop import Workshop, submission
from tests.service import Service


@pytest.fixture
def client(service: Service) -> TestClient:
    return service.client


def put_gguf(service: Service, name: str, content: bytes = b"GGUF and so on") -> Path:
    """As the loader does: whole, by a rename."""
    folder = service.house.folder / "base_models"
    folder.mkdir(exist_ok=True)
    temporary = folder / f".{name}.gguf.tmp"
    temporary.write_bytes(content)
    return temporary.rename(folder / f"{name}.gguf")


def put_folder(service: Service, name: str) -> Path:
    folder = service.house.folder / "base_models" / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def catalog(service: Service) -> ModelCatalog:
    models: ModelCatalog = service.app.state.services.models
    return models


def call(service: Service, work: Any, *arguments: Any) -> Any:
    """Await something of the service."""
    assert service.client.portal
    return service.client.portal.call(work, *arguments)


def listed(client: TestClient) -> list[str]:
    names: list[str] = client.get("/list_models").json()["All Created Models"]
    return names


def test_a_waiting_file_is_taken_in_when_a_persona_is_built_on_it(
    service: Service, client: TestClient
) -> None:
    file = put_gguf(service, "Tiny-1.0")
    created = client.post("/createModel/ada", json={"baseModel": "tiny-1.0"})
    assert created.status_code == 201, created.text
    assert listed(client) == ["ada", "demo", "Tiny-1.0"]
    details = client.get("/list_models?details=true").json()["models"]
    kinds = {model["name"]: (model["kind"], model["base"]) for model in details}
    assert kinds["Tiny-1.0"] == ("base", None)
    assert kinds["ada"] == ("persona", "Tiny-1.0")
    assert not file.exists()


def test_a_waiting_file_is_taken_in_when_it_is_asked(service: Service) -> None:
    put_gguf(service, "tiny")
    assert call(service, catalog(service).require_chat, "TINY") == "tiny"
    with pytest.raises(ModelNotFound):
        call(service, catalog(service).require_chat, "other")


def test_all_waiting_files_are_taken_in_at_start_and_a_broken_one_waits_on(
    service: Service, client: TestClient
) -> None:
    broken = put_gguf(service, "broken", b"no model")
    put_gguf(service, "tiny")
    (broken.parent / ".half.loading").mkdir()
    call(service, catalog(service).waiting.take_in_all)
    assert listed(client) == ["demo", "tiny"]
    assert broken.exists()
    answer = client.post("/createModel/ada", json={"baseModel": "broken"})
    assert answer.status_code == 422
    assert "GGUF" in answer.json()["detail"]


def test_a_base_that_is_loaded_again_takes_the_place_of_the_earlier_one(
    service: Service, client: TestClient
) -> None:
    for content in (b"GGUF one", b"GGUF number two"):
        put_gguf(service, "tiny", content)
        client.post("/createModel/ada", json={"baseModel": "tiny", "replace": True})
        assert client.get("/show_model/tiny").json()["size_bytes"] == len(content)


def test_a_file_never_replaces_a_persona(service: Service, client: TestClient) -> None:
    client.post("/createModel/ada", json={"system": "You are Ada."})
    put_gguf(service, "ada")
    call(service, catalog(service).waiting.take_in_all)
    assert client.get("/show_model/ada").json()["system"] == "You are Ada."
    answer = client.post("/createModel/eva", json={"baseModel": "ada"})
    assert answer.status_code == 409
    assert "--name" in answer.json()["detail"]


def test_a_file_that_took_the_place_of_the_one_taken_in_goes_on_waiting(service: Service) -> None:
    put_gguf(service, "tiny")
    base_models = BaseModels(service.house.folder / "base_models", service.store.models)
    [waiting] = base_models.waiting()
    put_gguf(service, "tiny", b"GGUF newer")
    base_models.taken_in(waiting)
    assert [base.name for base in base_models.waiting()] == ["tiny"]


def test_a_folder_without_a_file_says_which_command_makes_it(
    service: Service, client: TestClient
) -> None:
    folder = put_folder(service, "tiny")
    answer = client.post("/createModel/ada", json={"baseModel": "tiny"})
    assert answer.status_code == 404
    assert f"load_base_model.py --from-dir {folder}" in answer.json()["detail"]
    assert answer.json()["Created Models"] == ["demo"]


def test_a_deleted_base_stays_deleted_until_it_is_loaded_again(
    service: Service, client: TestClient
) -> None:
    settings = Settings(data_dir=service.house.folder)
    call(service, install_demo_base, settings.base_models_dir)
    assert "demo" in open_bundled(settings, service.runtime).states()
    assert client.delete("/deleteModel/demo").status_code == 200
    call(service, install_demo_base, settings.base_models_dir)
    assert "demo" not in open_bundled(settings, service.runtime).states()
    base_models = BaseModels(settings.base_models_dir, service.store.models)
    assert base_models.names() == ["demo"]
    put_gguf(service, "demo")
    base_models.taken_in(*base_models.waiting())
    assert "demo" in open_bundled(settings, service.runtime).states()


def test_the_demo_model_that_is_deleted_does_not_come_back_when_its_folder_is_removed_too(
    service: Service, client: TestClient
) -> None:
    settings = Settings(data_dir=service.house.folder)
    call(service, install_demo_base, settings.base_models_dir)
    assert client.delete("/deleteModel/Demo").status_code == 200
    shutil.rmtree(settings.base_models_dir / "demo")
    call(service, install_demo_base, settings.base_models_dir)
    assert not (settings.base_models_dir / "demo").exists()
    assert "demo" not in open_bundled(settings, service.runtime).states()


@pytest.mark.anyio
async def test_the_demo_folder_gets_its_name_when_all_of_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda file: flushed.add(os.fstat(file).st_ino))
    await install_demo_base(tmp_path)
    demo = tmp_path / "demo"
    assert {path.stat().st_ino for path in (tmp_path, demo, *demo.iterdir())} <= flushed


def test_a_base_that_is_deleted_before_it_is_taken_in_again_takes_the_file_along(
    service: Service, client: TestClient
) -> None:
    put_gguf(service, "tiny")
    client.post("/createModel/ada", json={"baseModel": "tiny"})
    file = put_gguf(service, "tiny", b"GGUF newer")
    assert client.delete("/deleteModel/tiny").status_code == 200
    assert not file.exists()


def test_the_service_takes_the_longest_name_that_the_loader_takes(
    service: Service, tmp_path: Path
) -> None:
    source = tmp_path / f"{'a' * 70}.gguf"
    source.write_bytes(b"GGUF and so on")
    load(Wanted(service.house.folder, gguf=source), lambda _: None)
    call(service, catalog(service).waiting.take_in_all)
    assert source.stem in listed(service.client)


@pytest.mark.anyio
async def test_a_loaded_folder_is_trained_from_by_its_name(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    load(Wanted(tmp_path, folder=DEMO_MODEL, name="tiny", quantization=None), lambda _: None)
    job = await shop.submitter.submit(submission(base="Tiny"))
    assert job.base_model == "tiny"
    await shop.vanish()


class Slow(FakeRuntime):
    """A fake that takes a file in once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.has_begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def create_model(
        self, name: str, source: ModelSource, persona: Persona, *, replace: bool = False
    ) -> None:
        """Create a model; from a file, once it may."""
        if isinstance(source, GGUFFile):
            self.has_begun.set()
            await self.may_end.wait()
        await super().create_model(name, source, persona, replace=replace)


def catalog_over(settings: Settings, runtime: ModelRuntime, store: Store) -> ModelCatalog:
    base_models = BaseModels(settings.base_models_dir, store.models)
    nothing = BundledModels(runtime, [], settings.converting_dir)
    return ModelCatalog(runtime, store, base_models, nothing, "demo")


@pytest.mark.anyio
async def test_other_models_do_not_wait_for_a_file_and_its_own_does(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    settings.base_models_dir.mkdir()
    (settings.base_models_dir / "big.gguf").write_bytes(b"GGUF")
    store, runtime = open_migrated(settings.database_path), Slow()
    models = catalog_over(settings, runtime, store)
    taking_in = asyncio.create_task(models.waiting.take_in_all())
    await runtime.has_begun.wait()
    async with asyncio.timeout(60):
        await models.create("ada", "demo", Persona(), replace=False)
        with pytest.raises(ModelNotFound):
            await models.require_chat("nobody")
    asked = asyncio.create_task(models.require_chat("big"))
    await asyncio.wait([asked], timeout=0.1)
    runtime.may_end.set()
    assert await asked == "big"
    await taking_in
    store.close()


def test_a_base_is_taken_in_with_its_projector_and_both_files_go(
    service: Service, client: TestClient
) -> None:
    file = put_gguf(service, "eye")
    projector = file.with_suffix(".mmproj")
    projector.write_bytes(b"GGUF sees")
    call(service, catalog(service).waiting.take_in_all)
    assert "images" in client.get("/show_model/eye").json()["capabilities"]
    assert not file.exists()
    assert not projector.exists()
    file = put_gguf(service, "eye")
    projector.write_bytes(b"GGUF sees")
    assert client.delete("/deleteModel/eye").status_code == 200
    assert not file.exists()
    assert not projector.exists()


@pytest.mark.real
@pytest.mark.anyio
async def test_a_waiting_file_answers_in_llama_cpp_and_is_gone(
    tmp_path: Path, demo_gguf: Path
) -> None:
    settings = Settings(data_dir=tmp_path, context_length=512)
    settings.base_models_dir.mkdir()
    waiting = settings.base_models_dir / "tiny.gguf"
    waiting.hardlink_to(demo_gguf)
    store = open_migrated(settings.database_path)
    models_folder = open_folders(settings, store).models
    assert models_folder
    runtime = open_llama_cpp(settings, models_folder)
    models = catalog_over(settings, runtime, store)
    await models.waiting.take_in_all()
    assert [model.info.name for model in await models.all()] == ["tiny"]
    assert not waiting.exists()
    assert demo_gguf.exists()
    question = [Message("user", "Hello")]
    async with aclosing(runtime.chat("tiny", question, Options(max_tokens=4))) as pieces:
        assert "".join([piece.text async for piece in pieces])
    await runtime.close()
    store.close()


@pytest.mark.real
@pytest.mark.anyio
async def test_an_embedding_model_is_loaded_taken_in_and_used_as_its_family(
    tmp_path: Path, embedding_gguf: Path
) -> None:
    settings = Settings(data_dir=tmp_path, context_length=512)
    load(Wanted(tmp_path, gguf=embedding_gguf, name="multilingual-e5-small"), print)
    store = open_migrated(settings.database_path)
    models_folder = open_folders(settings, store).models
    assert models_folder
    runtime = open_llama_cpp(settings, models_folder)
    models = catalog_over(settings, runtime, store)
    assert await models.waiting.take_in("multilingual-e5-small")
    (info,) = await runtime.models()
    assert info.capabilities == {"embed"}
    assert await models.all() == []
    embedder = Embedder(runtime, "multilingual-e5-small")
    (passage,), version = await embedder.embed_passages(["The ferry leaves every hour."])
    (question,), _ = await embedder.embed_queries(["When does the ferry leave?"])
    (plain,) = await runtime.embed("multilingual-e5-small", ["The ferry leaves every hour."])
    assert passage @ question > 0.5
    assert passage @ np.array(plain) < 0.99  # it was embedded as a passage
    assert "+" in version
    await runtime.close()
    store.close()
