"""importDocument, list_documents, documents/{id}, delete_document, deleteAll_Documents over HTTP."""

import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.documents.office import docx, epub, packed, paragraph, pptx, shape, xlsx
from tests.documents.pdfs import drawing_only, encrypted, pdf
from tests.service import Service, settled

PARKING = pdf("Parking\nThe parking pass costs 40 euros a month.")
LUNCH = pdf("Lunch\nLunch is served at noon.")


@pytest.fixture
def client(service: Service) -> TestClient:
    return service.client


def bring(
    client: TestClient, content: bytes = PARKING, name: str = "parking.pdf", **values: Any
) -> Any:
    """Import over HTTP."""
    sent = {"modelName": "demo"} | values
    return client.post("/importDocument", params=sent, files={"file": (name, content)})


def listed(client: TestClient, model: str = "demo") -> list[str]:
    """What list_documents says."""
    answer = client.get("/list_documents", params={"modelName": model}).json()
    names: list[str] = answer[f"Imported Documents for {model}"]
    return names


def test_an_imported_document_is_listed_without_its_ending(client: TestClient) -> None:
    response = bring(client)
    assert response.status_code == 201, response.text
    document = response.json()
    assert (document["status"], document["pages_total"], document["pages_done"]) == ("ready", 1, 1)
    assert response.headers["location"] == f"/documents/{document['id']}"
    assert client.get(response.headers["location"]).json()["name"] == "parking.pdf"
    assert listed(client) == ["parking"]


@pytest.mark.parametrize("source", ["params", "data", "json"])
def test_documents_are_listed_from_query_form_and_json(client: TestClient, source: str) -> None:
    bring(client)
    sent: dict[str, Any] = {source: {"modelName": "demo"}}
    answer = client.request("GET", "/list_documents", **sent)
    assert answer.json()["Imported Documents for demo"] == ["parking"], answer.text


def test_parameters_of_an_import_may_be_form_fields(client: TestClient) -> None:
    response = client.post(
        "/importDocument",
        data={"modelName": "demo", "wait": "true"},
        files={"file": ("parking.pdf", PARKING)},
    )
    assert response.status_code == 201, response.text


def test_a_locked_document_is_opened_by_its_password_which_is_kept_nowhere(
    service: Service, client: TestClient, tmp_path: Path
) -> None:
    locked = encrypted(PARKING, tmp_path, "Seehund-7")
    file = {"file": ("parking.pdf", locked)}
    sent = {"modelName": "demo", "password": "Seehund-7"}
    hurried = client.post("/importDocument", data=sent | {"wait": "false"}, files=file)
    assert hurried.status_code == 422
    assert "password" in hurried.text
    wrong = client.post("/importDocument", data=sent | {"password": "Walross"}, files=file)
    assert (wrong.status_code, wrong.json()["reason"]) == (422, "encrypted")
    assert client.post("/importDocument", data=sent, files=file).status_code == 201
    assert listed(client) == ["parking"]
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert service.house.kept()
    assert not [path for path in kept if b"Seehund-7" in path.read_bytes()]


def test_the_same_bytes_again_are_the_same_document(client: TestClient) -> None:
    first = bring(client).json()
    again = bring(client)
    assert again.status_code == 200
    assert again.json()["id"] == first["id"]
    assert listed(client) == ["parking"]


def test_other_bytes_under_the_name_are_a_409(service: Service, client: TestClient) -> None:
    bring(client)
    response = bring(client, LUNCH)
    assert response.status_code == 409
    assert listed(client) == ["parking"]
    assert len(service.house.kept()) == 1


def test_a_newer_version_replaces_the_document_under_its_id(client: TestClient) -> None:
    old = bring(client).json()
    replaced = bring(client, LUNCH, replace=True)
    assert (replaced.status_code, replaced.json()["Message"]) == (200, "Replaced parking.pdf")
    assert replaced.json()["id"] == old["id"]
    assert replaced.json()["sha256"] != old["sha256"]
    assert bring(client, LUNCH, replace=True).json()["Message"] == "parking.pdf is imported"
    assert listed(client) == ["parking"]


def test_until_a_newer_version_is_there_the_document_tells_how_far_it_is(
    client: TestClient,
) -> None:
    old = bring(client).json()
    accepted = bring(client, drawing_only(), replace=True, wait=False)
    assert (accepted.status_code, accepted.json()["id"]) == (202, old["id"])
    assert accepted.json()["Message"] == "A newer version of parking.pdf is being imported"
    document = client.get(accepted.headers["location"]).json()
    while document["replacement"]["status"] == "importing":
        time.sleep(0.01)
        document = client.get(f"/documents/{old['id']}").json()
    assert document["replacement"]["error"]["reason"] == "no_text"
    assert (document["status"], document["sha256"]) == ("ready", old["sha256"])


def test_without_waiting_the_import_is_accepted_and_ends_behind(client: TestClient) -> None:
    response = bring(client, wait="false")
    assert response.status_code == 202
    deadline = time.monotonic() + 60
    while client.get(response.headers["location"]).json()["status"] == "importing":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert listed(client) == ["parking"]


def test_a_document_for_all_models_is_every_models(client: TestClient) -> None:
    client.post("/createModel/ada")
    bring(client, modelName="")
    assert listed(client) == listed(client, "ada") == ["parking"]


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (b"<html>not a PDF</html>", 415, None),
        (b"", 415, None),
        (b"%PDF-1.7\nbroken", 422, "broken"),
        (drawing_only(), 422, "no_text"),
    ],
)
def test_what_is_no_readable_pdf_is_refused_and_leaves_nothing(
    service: Service, client: TestClient, content: bytes, status: int, reason: str | None
) -> None:
    response = bring(client, content)
    assert response.status_code == status, response.text
    assert response.json().get("reason") == reason
    assert response.headers["content-type"] == "application/problem+json"
    assert listed(client) == []
    assert service.house.is_empty()


@pytest.mark.parametrize("model", ["", "demo"])
def test_a_refused_upload_makes_no_collection(
    service: Service, client: TestClient, model: str
) -> None:
    assert bring(client, name="\u202e.pdf", modelName=model).status_code == 422
    assert bring(client, b"<html>not a PDF</html>", modelName=model).status_code == 415
    assert client.get("/collections").json()["collections"] == []
    assert service.house.is_empty()


def test_an_encrypted_pdf_is_refused(service: Service, client: TestClient, tmp_path: Any) -> None:
    locked = encrypted(PARKING, tmp_path, "secret")
    response = bring(client, locked)
    assert (response.status_code, response.json()["reason"]) == (422, "encrypted")


def test_too_large_a_file_is_a_413(service: Service, client: TestClient) -> None:
    assert bring(client, PARKING + b" " * 200_000).status_code == 413
    assert service.house.is_empty()


def test_a_missing_file_or_an_unknown_model_is_named(client: TestClient) -> None:
    missing = client.post("/importDocument", params={"modelName": "demo"})
    assert missing.status_code == 422
    assert "file" in missing.json()["detail"]
    assert bring(client, modelName="nobody").status_code == 404


@pytest.mark.parametrize("name", ["../../etc/passwd.pdf", "C:\\x\\parking.pdf", "\u00e4\u202e.pdf"])
def test_a_file_name_is_data_and_never_a_path(
    service: Service, client: TestClient, name: str
) -> None:
    response = bring(client, name=name)
    assert response.status_code in {201, 422}
    for path in service.house.folder.rglob("*.pdf"):
        assert path.parent.name == "documents"
        assert path.name.startswith("doc_")


def test_documents_of_neither_model_nor_document_are_a_404(client: TestClient) -> None:
    assert client.get("/list_documents", params={"modelName": "nobody"}).status_code == 404
    assert client.get("/list_documents").status_code == 422
    assert client.get("/documents/doc_unknown").status_code == 404


def test_documents_outlive_their_model(client: TestClient) -> None:
    client.post("/createModel/ada")
    bring(client, modelName="ada")
    client.delete("/deleteModel/ada")
    assert listed(client, "ada") == ["parking"]
    assert client.delete("/deleteAll_Documents", params={"modelName": "ada"}).status_code == 200
    assert client.get("/list_documents", params={"modelName": "ada"}).status_code == 404


def test_who_deletes_a_document_is_told_which_models_learned_from_it(
    service: Service, client: TestClient
) -> None:
    parking = service.house.store.documents.get(bring(client).json()["id"])
    page = {"id": parking.id, "name": parking.name, "sha256": parking.sha256}
    pages = {"name": "documents.jsonl", "sha256": "0" * 64, "documents": [page]}
    lineage = {"job_id": "job_1", "base": "demo", "datasets": {"train": pages}}
    service.house.store.models.put("tuned", "fine-tune", "demo", "job_1", lineage=lineage)
    bring(client, LUNCH, "lunch.pdf")
    for name, learned_by in (("lunch", []), ("parking", ["tuned"])):
        gone = client.delete("/delete_document", params={"document": name, "modelName": "demo"})
        assert gone.json()["learned_by"] == learned_by
    bring(client)
    every = client.delete("/deleteAll_Documents", params={"modelName": "demo"})
    assert every.json()["learned_by"] == ["tuned"]


@pytest.mark.parametrize("name", ["parking", "parking.pdf"])
def test_a_deleted_document_leaves_nothing(service: Service, client: TestClient, name: str) -> None:
    bring(client)
    response = client.delete("/delete_document", params={"document": name, "modelName": "demo"})
    assert response.status_code == 200
    assert listed(client) == []
    settled(service)
    assert service.house.is_empty()
    again = client.delete("/delete_document", params={"document": name, "modelName": "demo"})
    assert again.status_code == 404


def test_deleting_all_is_no_error_when_there_are_none(client: TestClient) -> None:
    bring(client)
    bring(client, LUNCH, "lunch.pdf")
    both = client.delete("/deleteAll_Documents", params={"modelName": "demo"})
    assert sorted(both.json()["deleted"]) == ["lunch.pdf", "parking.pdf"]
    none = client.delete("/deleteAll_Documents", params={"modelName": "demo"})
    assert (none.status_code, none.json()["deleted"]) == (200, [])
    unknown = client.delete("/deleteAll_Documents", params={"modelName": "nobody"})
    assert unknown.status_code == 404


@pytest.mark.parametrize("source", ["params", "data", "json"])
def test_documents_are_deleted_from_query_form_and_json(client: TestClient, source: str) -> None:
    bring(client, pdf("One tower."), "one.pdf")
    bring(client, pdf("Two towers."), "two.pdf")
    one: dict[str, Any] = {source: {"modelName": "demo", "document": "one"}}
    assert client.request("DELETE", "/delete_document", **one).status_code == 200
    assert listed(client) == ["two"]
    every: dict[str, Any] = {source: {"modelName": "demo"}}
    assert client.request("DELETE", "/deleteAll_Documents", **every).status_code == 200
    assert listed(client) == []


def test_a_document_is_of_the_kind_that_its_bytes_and_its_name_say(
    service: Service, client: TestClient
) -> None:
    answer = bring(client, b"# Parking\n\nA pass costs 40 euros.", "rules.md")
    assert (answer.status_code, answer.json()["kind"]) == (201, "md"), answer.text
    bring(client, b"Name,Fee\nPass,40\n", "fees.CSV")
    assert listed(client) == ["fees.CSV", "rules.md"]
    kept = {path.suffix for path in (service.house.folder / "documents").iterdir()}
    assert kept == {".md", ".csv", ".json"}
    assert service.house.is_whole()


@pytest.mark.parametrize(
    ("content", "name", "told"),
    [
        (PARKING, "parking.docx", "a PDF, not a Word document"),
        (b"Some words.", "parking.xlsx", "not a workbook"),
        (b"<html>404", "fees.csv", "HTML, not CSV"),
        (b"\x89PNG\r\n\x1a\n\0\0", "scan.txt", "an image"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", "old.doc", "Save it as .docx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", "new.docx", "protected by a password"),
        (b"{\\rtf1 words}", "letter.rtf", "RTF"),
        (b"Some words.", "words.xyz", "name it .txt"),
        (b"PK\x03\x04 and then nothing", "a.docx", "damaged"),
    ],
)
def test_a_file_of_no_kind_or_of_another_than_its_name_says_is_a_415(
    service: Service, client: TestClient, content: bytes, name: str, told: str
) -> None:
    answer = bring(client, content, name)
    assert answer.status_code == 415, answer.text
    assert told in answer.json()["detail"]
    assert service.house.is_empty()


def test_a_bare_name_means_the_pdf_else_the_only_document_of_it(client: TestClient) -> None:
    def deleted(name: str) -> Any:
        return client.delete(
            "/delete_document", params={"modelName": "demo", "document": name}
        ).json()

    for name, content in {"rules.pdf": PARKING, "rules.md": b"A", "rules.txt": b"B"}.items():
        assert bring(client, content, name).status_code == 201
    assert deleted("rules")["message"].startswith("Successfully deleted rules.pdf")
    ambiguous = deleted("rules")
    assert ambiguous["status"] == 422
    assert sorted(ambiguous["documents"]) == ["rules.md", "rules.txt"]
    assert deleted("rules.TXT")["message"].startswith("Successfully deleted rules.txt")
    assert deleted("rules")["message"].startswith("Successfully deleted rules.md")
    assert deleted("rules")["status"] == 404


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.docx", docx(paragraph("A pass costs 40 euros.")), "docx"),
        ("a.docm", docx(paragraph("A pass costs 40 euros.")), "docx"),
        ("a.pptx", pptx(shape("A pass costs 40 euros.")), "pptx"),
        ("a.xlsx", xlsx(Fees=[["A pass costs 40 euros."]]), "xlsx"),
        ("a.epub", epub("<p>A pass costs 40 euros.</p>"), "epub"),
        ("a", docx(paragraph("A pass costs 40 euros.")), "docx"),
        ("a.xlsx", docx(paragraph("A pass costs 40 euros.")), ""),
        ("a.docx", packed({"a.txt": "words"}), ""),
    ],
)
def test_zip_files_are_told_apart_by_what_they_hold(
    client: TestClient, name: str, content: bytes, kind: str
) -> None:
    answer = bring(client, content, name)
    assert answer.status_code == (201 if kind else 415), answer.text
    assert answer.json().get("kind", "") == kind


def test_what_is_found_says_what_its_page_is_called(client: TestClient) -> None:
    bring(client, b"# House\n\n## Parking\n\nA pass costs 40 euros.", "rules.md")
    found = client.post("/search", json={"modelName": "demo", "query": "pass costs"}).json()["hits"]
    assert [(one["page"], one["label"]) for one in found if "pass" in one["text"]] == [
        (1, "House > Parking")
    ]
