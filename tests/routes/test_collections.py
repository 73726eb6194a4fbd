"""Collections over HTTP, and `collection` in the place of `modelName`."""

import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.errors import CollectionNotFound
from tests.documents.pdfs import handbook, pdf
from tests.fakes import FakeRuntime
from tests.service import Service, settled

PARKING = pdf("Parking\nThe parking pass costs 40 euros a month.")
LUNCH = pdf("Lunch\nLunch is served at noon.")
RULES = handbook([("Rules", f"Rule {n} of the house.") for n in range(4)])


@pytest.fixture
def client(service: Service) -> TestClient:
    return service.client


def bring(client: TestClient, content: bytes, name: str, **sent: Any) -> Any:
    """Import over HTTP."""
    return client.post("/importDocument", params=sent, files={"file": (name, content)})


def listed(client: TestClient, **sent: Any) -> list[str]:
    """The names of the documents that are listed."""
    answer = client.get("/list_documents", params=sent)
    assert answer.status_code == 200, answer.text
    return [one["name"] for one in answer.json()["documents"]]


def made(client: TestClient, name: str, **sent: Any) -> Any:
    """A new collection."""
    answer = client.post("/collections", json={"name": name, **sent})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_collection_is_made_found_listed_and_deleted_by_id_and_by_name(
    client: TestClient,
) -> None:
    first = made(client, "Handbücher 2026")
    assert first["id"].startswith("col_")
    assert (first["embedder"], first["documents"]) == ("all-minilm-l6-v2-int8", 0)
    for known in (first["id"], "Handbücher 2026", "handbücher 2026"):
        assert client.get(f"/collections/{known}").json() == first
    second = made(client, "papers")
    answer = client.get("/collections").json()
    assert answer == {"collections": [first, second], "has_more": False}
    assert client.delete(f"/collections/{second['id']}").status_code == 200
    assert client.delete("/collections/Handbücher 2026").json()["deleted"] == []
    assert client.get("/collections").json()["collections"] == []
    assert client.delete("/collections/papers").status_code == 404


def test_a_name_is_there_once_and_no_id_and_no_path(client: TestClient) -> None:
    made(client, "papers")
    assert client.post("/collections", json={"name": "Papers"}).status_code == 409
    for name in ("", " ", "*", "a/b", "col_0123456789abcdef", ".."):
        assert client.post("/collections", json={"name": name}).status_code == 422, name


def test_the_list_of_collections_has_pages(client: TestClient) -> None:
    ids = [made(client, f"papers {n}")["id"] for n in range(5)]
    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        answer = client.get("/collections", params={"limit": 2, **after}).json()
        found += [one["id"] for one in answer["collections"]]
        if not answer["has_more"]:
            break
        after = {"after": found[-1]}
    assert sorted(found) == sorted(ids)
    assert client.get("/collections?after=nothing").status_code == 404


def test_the_list_of_documents_is_cut_by_a_limit_alone(client: TestClient) -> None:
    for number in range(3):
        bring(client, pdf(f"Tower {number}."), f"tower {number}.pdf", modelName="demo")
    whole = client.get("/list_documents?modelName=demo").json()
    assert len(whole["documents"]) == 3
    assert "has_more" not in whole
    first = client.get("/list_documents?modelName=demo&limit=2").json()
    assert first["Imported Documents for demo"] == ["tower 0", "tower 1"]
    assert first["has_more"] is True
    rest = client.get("/list_documents?modelName=demo&limit=2&after=tower 1").json()
    assert (rest["Imported Documents for demo"], rest["has_more"]) == (["tower 2"], False)


def test_a_document_is_imported_listed_and_deleted_in_a_collection(
    service: Service, client: TestClient
) -> None:
    collection = made(client, "handbooks")
    answer = bring(client, PARKING, "parking.pdf", collection="handbooks")
    assert answer.status_code == 201, answer.text
    assert listed(client, collection=collection["id"]) == ["parking.pdf"]
    assert client.get("/collections/handbooks").json()["documents"] == 1
    assert listed(client, modelName="demo") == []
    gone = client.delete("/delete_document?collection=handbooks&document=parking")
    assert gone.json()["message"] == "Successfully deleted parking.pdf of handbooks"
    bring(client, LUNCH, "lunch.pdf", collection=collection["id"])
    every = client.delete("/deleteAll_Documents?collection=handbooks")
    assert every.json()["deleted"] == ["lunch.pdf"]
    settled(service)
    assert service.house.is_empty()
    assert client.get("/collections/handbooks").status_code == 200


@pytest.mark.parametrize("path", ["importDocument", "list_documents", "deleteAll_Documents"])
def test_a_model_and_a_collection_are_not_both_given_and_the_collection_must_be_there(
    client: TestClient, path: str
) -> None:
    method = {"importDocument": "POST", "list_documents": "GET"}.get(path, "DELETE")
    files = {"file": ("a.pdf", PARKING)} if method == "POST" else None
    made(client, "handbooks")
    both = {"modelName": "demo", "collection": "handbooks"}
    answer = client.request(method, f"/{path}", params=both, files=files)
    assert (answer.status_code, "one of them" in answer.text) == (422, True)
    answer = client.request(method, f"/{path}", params={"collection": "books"}, files=files)
    assert (answer.status_code, "handbooks" in answer.json()["detail"]) == (404, True)


def test_a_file_that_two_models_have_is_stored_and_embedded_once_and_stays_with_the_second(
    service: Service, client: TestClient
) -> None:
    client.post("/createModel/ada")
    first = bring(client, RULES, "rules.pdf", modelName="demo").json()
    embedded = list(service.runtime.embedded)
    second = bring(client, RULES, "Hausordnung.pdf", modelName="ada")
    assert second.status_code == 201
    assert second.json()["id"] != first["id"]
    assert (second.json()["name"], second.json()["pages_total"]) == ("Hausordnung.pdf", 1)
    assert service.runtime.embedded == embedded
    assert len(service.house.kept()) == 1
    asked = {"query": "Which rule is there?", "modelName": "demo"}
    before = client.post("/search", json=asked).json()["hits"]
    client.delete("/delete_document?modelName=demo&document=rules")
    settled(service)
    assert listed(client, modelName="ada") == ["Hausordnung.pdf"]
    after = client.post("/search", json={**asked, "modelName": "ada"}).json()["hits"]
    assert {one["document"] for one in before} == {"rules.pdf"}
    assert {one["document"] for one in after} == {"Hausordnung.pdf"}
    assert len(service.house.kept()) == 1
    client.delete("/delete_document?modelName=ada&document=Hausordnung")
    settled(service)
    assert service.house.is_empty()


def test_the_same_bytes_under_another_name_are_said_to_be_there_already(
    client: TestClient,
) -> None:
    first = bring(client, PARKING, "fees-2025.pdf", modelName="demo").json()
    again = bring(client, PARKING, "fees-copy.pdf", modelName="demo")
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    said = again.json()["Message"]
    assert "fees-copy.pdf has the same bytes as fees-2025.pdf and was not added" in said
    same = bring(client, PARKING, "fees-2025.pdf", modelName="demo").json()["Message"]
    assert same == "fees-2025.pdf is imported"


def test_search_and_generate_look_where_the_collection_says(
    service: Service, client: TestClient
) -> None:
    made(client, "handbooks")
    bring(client, PARKING, "parking.pdf", collection="handbooks")
    bring(client, LUNCH, "lunch.pdf", modelName="demo")

    def found(**sent: Any) -> set[str]:
        answer = client.post("/search", json={"query": "the parking pass", **sent})
        assert answer.status_code == 200, answer.text
        return {one["document"] for one in answer.json()["hits"]}

    assert found(collection="handbooks") == {"parking.pdf"}
    assert found(modelName="demo") == {"lunch.pdf"}
    assert found(modelName="demo", collection="handbooks", expand=True) == {"parking.pdf"}
    assert client.post("/search", json={"query": "the pass"}).status_code == 422
    no_model = {"query": "the pass", "collection": "handbooks", "expand": True}
    assert client.post("/search", json=no_model).status_code == 422

    asked = {"modelName": "demo", "user_prompt": "What does a parking pass cost?"}
    service.runtime.rule = lambda _: "It costs 40 euros a month [1]."
    answer = client.post("/generate", json={**asked, "collection": "handbooks"}).json()
    (citation,) = answer["citations"]
    assert (citation["document"], citation["page"]) == ("parking.pdf", 1)
    each = {**asked, "collection": "handbooks", "per_document": True}
    assert "parking.pdf" in client.post("/generate", json=each).json()
    named = {**asked, "collection": "handbooks", "documents": ["lunch"]}
    answer = client.post("/generate", json=named)
    assert (answer.status_code, "parking.pdf" in answer.json()["detail"]) == (404, True)
    assert client.post("/generate", json={**asked, "collection": "books"}).status_code == 404


def test_a_model_has_its_collection_from_its_first_document_on_and_it_outlives_the_model(
    client: TestClient,
) -> None:
    client.post("/createModel/Ada")
    assert client.get("/collections/ada").status_code == 404
    bring(client, PARKING, "parking.pdf", modelName="ada")
    bring(client, LUNCH, "lunch.pdf")
    names = [one["name"] for one in client.get("/collections").json()["collections"]]
    assert sorted(names) == ["*", "Ada"]
    assert listed(client, collection="ada") == ["parking.pdf"]
    assert listed(client, collection="*") == ["lunch.pdf"]
    assert listed(client, modelName="Ada") == ["lunch.pdf", "parking.pdf"]
    client.delete("/deleteModel/ada")
    assert client.get("/collections/ada").json()["documents"] == 1
    assert listed(client, modelName="ada") == ["lunch.pdf", "parking.pdf"]


def test_a_deleted_collection_takes_its_documents_and_leaves_what_others_have(
    service: Service, client: TestClient
) -> None:
    made(client, "handbooks")
    for sent in ({"collection": "handbooks"}, {"modelName": "demo"}):
        bring(client, PARKING, "parking.pdf", **sent)
    bring(client, LUNCH, "lunch.pdf", collection="handbooks")
    answer = client.delete("/collections/handbooks").json()
    assert sorted(answer["deleted"]) == ["lunch.pdf", "parking.pdf"]
    assert made(client, "handbooks")["documents"] == 0  # the name is free at once
    settled(service)
    assert listed(client, modelName="demo") == ["parking.pdf"]
    assert listed(client, collection="handbooks") == []
    assert len(service.house.kept()) == 1
    assert service.house.is_whole()


def test_an_import_into_a_collection_that_is_being_deleted_is_refused_and_leaves_nothing(
    service: Service, client: TestClient
) -> None:
    made(client, "handbooks")
    collection = service.store.collections.find("handbooks")
    client.delete("/collections/handbooks")
    with pytest.raises(CollectionNotFound):
        service.store.documents.add("late.pdf", collection, "0" * 64, 1, "tiny")
    assert service.house.store.documents.all() == []


def test_the_star_is_no_model(client: TestClient) -> None:
    bring(client, LUNCH, "lunch.pdf")
    for method, path in (("GET", "list_documents"), ("DELETE", "deleteAll_Documents")):
        assert client.request(method, f"/{path}?modelName=*").status_code == 404
    assert listed(client, collection="*") == ["lunch.pdf"]
    assert client.get("/collections/*").json()["documents"] == 1


def with_another_embedder(service: Service) -> None:
    """A second embedding model in the runtime."""
    runtime = FakeRuntime(embedding_model="wide-embedder", embedding_context=1024)
    service.runtime.add_models_of(runtime)


def test_a_collection_may_have_an_embedding_model_of_its_own(
    service: Service, client: TestClient
) -> None:
    with_another_embedder(service)
    refused = client.post("/collections", json={"name": "wide", "embedder": "demo"})
    assert (refused.status_code, "wide-embedder" in refused.json()["detail"]) == (422, True)
    assert made(client, "wide", embedder="wide-embedder")["embedder"] == "wide-embedder"
    bring(client, PARKING, "parking.pdf", collection="wide")
    bring(client, PARKING, "parking.pdf", modelName="demo")
    assert len(service.house.kept()) == 2  # a content is cut and embedded for one model
    answer = client.post("/search", json={"query": "parking pass", "collection": "wide"})
    (hit, *_) = answer.json()["hits"]
    assert hit["document"] == "parking.pdf"
    document = client.get(f"/documents/{hit['document_id']}").json()
    assert document["embedder"].startswith("wide-embedder:64@")


def test_a_model_may_be_made_with_what_embeds_its_documents(
    service: Service, client: TestClient
) -> None:
    with_another_embedder(service)
    persona = {"baseModel": "demo", "embedder": "nobody"}
    assert client.post("/createModel/ada", json=persona).status_code == 422
    assert client.get("/show_model/ada").status_code == 404
    persona["embedder"] = "wide-embedder"
    assert client.post("/createModel/ada", json=persona).status_code == 201
    assert client.get("/collections/ada").json()["embedder"] == "wide-embedder"
    again = {"baseModel": "demo", "embedder": "all-minilm-l6-v2-int8", "replace": True}
    refused = client.post("/createModel/ada", json=again)
    assert (refused.status_code, "wide-embedder" in refused.json()["detail"]) == (409, True)


def test_collections_of_different_embedders_are_searched_together(
    service: Service, client: TestClient
) -> None:
    with_another_embedder(service)
    made(client, "demo", embedder="wide-embedder")
    bring(client, PARKING, "parking.pdf", modelName="demo")
    bring(client, LUNCH, "lunch.pdf")
    for question, document in (("parking pass", "parking.pdf"), ("lunch canteen", "lunch.pdf")):
        answer = client.post("/search", json={"query": question, "modelName": "demo"})
        assert answer.json()["hits"][0]["document"] == document


def test_two_imports_of_one_file_into_two_collections_at_once_embed_it_once(
    service: Service, client: TestClient
) -> None:
    made(client, "a")
    made(client, "b")
    locations = [
        bring(client, RULES, "rules.pdf", collection=one, wait="false").headers["location"]
        for one in ("a", "b")
    ]
    deadline = time.monotonic() + 60
    while any(client.get(one).json()["status"] == "importing" for one in locations):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert client.portal
    client.portal.call(service.house.importer.settled)
    assert listed(client, collection="a") == listed(client, collection="b") == ["rules.pdf"]
    assert len(service.runtime.embedded) == len(set(service.runtime.embedded))
    assert service.house.is_whole()


def test_a_collection_is_embedded_anew_switched_back_and_cleared(
    service: Service, client: TestClient
) -> None:
    assert client.post("/collections/nowhere/embed").status_code == 404
    client.post("/collections", params={"name": "handbooks"})
    bring(client, PARKING, "parking.pdf", collection="handbooks")
    refused = client.post("/collections/handbooks/embed", params={"embedder": "demo"})
    assert (refused.status_code, refused.json()["status"]) == (422, 422)
    assert client.post("/collections/handbooks/embed/rollback").status_code == 409
    begun = client.post("/collections/handbooks/embed", data={"reread": "true"})
    assert begun.status_code == 202, begun.text
    assert begun.json()["embedding"]["status"] == "running"
    assert switched(client)["embedding"]["previous"] == "all-minilm-l6-v2-int8"
    for waiting in service.store.documents.all("standby"):
        assert client.get(f"/documents/{waiting.id}").status_code == 404
    assert client.post("/collections/handbooks/embed/rollback").status_code == 202
    assert switched(client)["embedder"] == "all-minilm-l6-v2-int8"
    assert client.delete("/collections/handbooks/embed").json()["embedding"] is None
    assert client.delete("/collections/handbooks/embed").status_code == 409


def switched(client: TestClient) -> Any:
    """The collection when it has been switched."""
    while (answer := client.get("/collections/handbooks").json())["embedding"]["status"] != "ready":
        time.sleep(0.01)
    return answer
