"""The main job on the Swagger page: what is required is filled in and nothing else, and the answers are read."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, Server
from tests.e2e.swagger import CHROMIUM, SwaggerPage, swagger_page
from tests.finetune.jobs import wait_for

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not here: apt-get install chromium"),
]
HANDBOOK = ROOT / "examples" / "handbook.pdf"
QUESTIONS = ROOT / "examples" / "eval.csv"
TRAIN = ROOT / "examples" / "train.csv"


@pytest.fixture(scope="module")
def opened(running: Server) -> Iterator[SwaggerPage]:
    with swagger_page(str(running.client.base_url).rstrip("/")) as page:
        yield page


@pytest.fixture
def page(opened: SwaggerPage) -> SwaggerPage:
    opened.reload()
    return opened


def test_the_main_job_is_done_on_the_swagger_page(page: SwaggerPage) -> None:
    status, created = page.execute("create_model", modelName="ada")
    assert (status, created["name"]) == (201, "ada")
    status, imported = page.execute("import_document", file=HANDBOOK)
    assert (status, imported["status"]) == (201, "ready")

    question = "What does a parking pass cost?"
    status, answer = page.execute("generate", user_prompt=question, modelName="ada", documents="*")
    assert status == 200
    assert "40 euros" in answer["message"]
    assert answer["citations"][0]["page"] == 2

    status, listed = page.execute("list_models")
    assert (status, listed) == (200, {"All Created Models": ["ada", "demo"]})
    status, documents = page.execute("list_documents", modelName="ada")
    assert (status, documents["Imported Documents for ada"]) == (200, ["handbook"])
    status, shown = page.execute("show_model", modelName="ada")
    assert (status, shown["base"]) == (200, "demo")

    status, deleted = page.execute("delete_document", modelName="ada", document="handbook")
    said = {"message": "Successfully deleted handbook.pdf of ada", "learned_by": []}
    assert (status, deleted) == (200, said)
    status, emptied = page.execute("delete_all_documents", modelName="ada")
    assert (status, emptied["deleted"]) == (200, [])
    status, gone = page.execute("delete_model", modelName="ada")
    assert (status, gone) == (200, {"Message": "Successfully deleted ada"})
    status, refused = page.execute("show_model", modelName="ada")
    assert (status, refused["Created Models"]) == (404, ["demo"])


def test_a_collection_is_filled_with_several_files_on_the_swagger_page(page: SwaggerPage) -> None:
    status, made = page.execute("create_collection", name="handbooks")
    assert (status, made["name"], made["documents"]) == (201, "handbooks", 0)
    status, several = page.execute(
        "import_documents", file=[HANDBOOK, QUESTIONS], collection="handbooks"
    )
    ends = [one["result"] for one in several["documents"]]
    assert (status, ends) == (201, ["imported", "imported"])
    status, found = page.execute("search", query="parking pass", collection="handbooks")
    assert (status, found["hits"][0]["document"]) == (200, "handbook.pdf")
    status, deleted = page.execute("delete_collection", collection=made["id"])
    assert (status, sorted(deleted["deleted"])) == (200, ["eval.csv", "handbook.pdf"])


def test_a_model_is_fine_tuned_on_a_dataset_and_on_a_file_on_the_swagger_page(
    running: Server, page: SwaggerPage
) -> None:
    status, added = page.execute("add_dataset", file=TRAIN, name="lessons")
    assert (status, added["name"], added["rows"]) == (201, "lessons", {"train": 72})
    assert added["samples"][0]["pieces"][1]["learned"]
    status, plan = page.execute(
        "fine_tune_model",
        modelName="lessons",
        train_dataset=added["dataset_id"],
        dry_run="true",
    )
    assert (status, plan["rows"]) == (200, 68)

    page.reload()
    status, queued = page.execute("fine_tune_model", modelName="northwind", train_dataset=TRAIN)
    assert status == 202, queued
    job_id = queued["job_id"]
    job = running.client.get(f"/jobs/{job_id}").json()
    assert (job["model"], job["spec"]["rank"]) == ("northwind", 24)
    status, cancelled = page.execute("cancel_job", id=job_id)
    assert (status, cancelled["job_id"]) == (202, job_id)
    wait_for(lambda: running.client.get(f"/jobs/{job_id}").json()["status"] == "cancelled")
    status, deleted = page.execute("delete_job", id=job_id)
    assert (status, deleted["job_id"]) == (200, job_id)
    assert running.client.get("/jobs").json()["jobs"] == []


def test_nothing_is_filled_in_and_a_refusal_is_a_line(running: Server, page: SwaggerPage) -> None:
    """Looked at for one operation of each kind: the page takes seconds to open one."""
    operations = page.operations()
    assert operations[:4] == ["create_model", "list_models", "show_model", "delete_model"]
    described = running.client.get("/openapi.json").json()["paths"].values()
    told = [operation for path in described for operation in path.values()]
    assert {operation["operationId"] for operation in told} == set(operations)
    for operation in {kind_of(one): one["operationId"] for one in told}.values():
        assert page.filled_in(operation) == {}, operation
        for status, text in page.refusals(operation).items():
            said = [line.strip() for line in text.splitlines() if line.strip()]
            assert len(said) == 3, (operation, said)
            assert (said[0], said[2]) == (status, "No links")
        page.close(operation)
    for one in told:
        for field in fields_of(one):
            assert not field.get("default"), (one["operationId"], field)
            assert "example" not in field, (one["operationId"], field)


def kind_of(operation: dict[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """Where it takes what it is given: operations of a kind are shown alike."""
    places = frozenset(one["in"] for one in operation.get("parameters", ()))
    return places, frozenset(operation.get("requestBody", {}).get("content", ()))


def fields_of(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All that the page could fill in."""
    for parameter in operation.get("parameters", ()):
        yield parameter
        yield parameter["schema"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield from content["schema"].get("properties", {}).values()
