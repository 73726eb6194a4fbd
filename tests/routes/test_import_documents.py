"""importDocuments: many files and ZIP files of files by one request."""

import io
import struct
import time
import zipfile
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.documents.office import docx, packed, paragraph
from tests.documents.pdfs import pdf
from tests.service import Service

PARKING = pdf("Parking\nThe parking pass costs 40 euros a month.")


@pytest.fixture
def client(service: Service) -> TestClient:
    return service.client


def bring(client: TestClient, *files: tuple[str, bytes], **values: Any) -> Any:
    """Import over HTTP."""
    sent = {"modelName": "demo"} | values
    return client.post("/importDocuments", params=sent, files=[("file", one) for one in files])


def zip64(archive: bytes) -> bytes:
    """The same, of the form for more than 4 GiB, with the longest comment."""
    at = archive.rindex(b"PK\x05\x06")
    count, size, offset = struct.unpack("<2xHII", archive[at + 8 : at + 20])
    end = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    return archive[:at] + end + locator + archive[at:-2] + b"\xff\xff" + bytes(65535)


def ends(answer: Any) -> dict[str, str]:
    """What became of each file."""
    return {one["file"]: one["result"] for one in answer.json()["documents"]}


def test_each_file_is_imported_and_reported(service: Service, client: TestClient) -> None:
    answer = bring(client, ("parking.pdf", PARKING), ("rules.md", b"# Rules\n\nBe kind."))
    assert answer.status_code == 201, answer.text
    assert ends(answer) == {"parking.pdf": "imported", "rules.md": "imported"}
    assert answer.json()["counts"] == {"imported": 2}
    kinds = [one["document"]["kind"] for one in answer.json()["documents"]]
    assert kinds == ["pdf", "md"]
    again = bring(client, ("parking.pdf", PARKING), ("copy.pdf", PARKING))
    assert again.status_code == 200
    assert ends(again) == {"parking.pdf": "unchanged", "copy.pdf": "unchanged"}
    assert "has the same bytes" in again.json()["documents"][1]["document"]["Message"]
    assert service.house.is_whole()


def test_a_file_that_cannot_be_imported_keeps_no_other_from_it(client: TestClient) -> None:
    answer = bring(client, ("broken.pdf", b"%PDF-1.7"), ("a.txt", b"words"), ("b.exe", b"MZ\x90\0"))
    assert answer.status_code == 207
    assert ends(answer) == {"broken.pdf": "failed", "a.txt": "imported", "b.exe": "failed"}
    errors = [one["error"] for one in answer.json()["documents"]]
    assert [error and error["status"] for error in errors] == [422, None, 415]


def test_a_zip_file_is_opened(service: Service, client: TestClient) -> None:
    word = docx(paragraph("A pass costs 40 euros."))
    archive = packed(
        {
            "handbook/": "",
            "handbook/parking.pdf": PARKING,
            "handbook/rules.docx": word,
            "../../outside.txt": "words",
            "inner.zip": packed({"a.txt": "words"}),
            "photo.png": b"\x89PNG\r\n\x1a\n\0\0",
            "__MACOSX/handbook/._parking.pdf": b"\0",
            ".DS_Store": b"\0",
        }
    )
    answer = bring(client, ("all.zip", archive), ("more.txt", b"more words"), wait="false")
    assert answer.status_code == 207
    results = ends(answer)
    assert results.pop("more.txt") == "importing"
    assert results == {
        "handbook/parking.pdf": "importing",
        "handbook/rules.docx": "importing",
        "../../outside.txt": "importing",
        "inner.zip": "failed",
        "photo.png": "failed",
    }
    deadline = time.monotonic() + 60
    while not service.house.is_whole() or len(service.house.documents_of("demo")) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    names = {document.name for document in service.house.documents_of("demo")}
    assert names == {"parking.pdf", "rules.docx", "outside.txt", "more.txt"}
    assert not list((service.house.folder / "uploads").iterdir())


def test_names_in_a_zip_file_are_as_they_were_meant(client: TestClient) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        said = zipfile.ZipInfo("\u00fcber.txt")
        archive.writestr(said, "words")
    unsaid = target.getvalue().replace(b"\x14\x00\x00\x08", b"\x14\x00\x00\x00")
    assert ends(bring(client, ("a.zip", unsaid))) == {"\u00fcber.txt": "imported"}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_unfolds_in_whole_blocks_is_never_unfolded(client: TestClient, method: int) -> None:
    archive = packed({"a.txt": b"a" * 100_000}, method)
    damaged = archive.replace(archive[40:60], bytes(20))
    answer = bring(client, ("a.zip", archive), ("b.zip", damaged), ("good.txt", b"words"))
    assert ends(answer) == {"a.txt": "failed", "good.txt": "imported"}
    first, second, _ = answer.json()["documents"]
    assert first["error"]["status"] == second["error"]["status"] == 422
    assert "Deflate" in first["error"]["detail"]
    types = packed({"[Content_Types].xml": b"a" * 100_000}, method)
    answer = bring(client, ("a.docx", types), ("good.txt", b"words"))
    assert ends(answer) == {"a.docx": "failed", "good.txt": "unchanged"}
    single = client.post("/importDocument", files={"file": ("a.docx", types)})
    assert single.status_code == 422
    assert "Deflate" in single.json()["detail"]


def test_a_damaged_entry_fails_alone(client: TestClient) -> None:
    archive = packed({"a.txt": b"words and words", "b.txt": "more words"})
    deflated = archive.find(b"a.txt") + len(b"a.txt")
    damaged = archive[:deflated] + b"\xff" * 4 + archive[deflated + 4 :]
    answer = bring(client, ("all.zip", damaged))
    assert ends(answer) == {"a.txt": "failed", "b.txt": "imported"}
    assert answer.json()["documents"][0]["error"]["status"] == 422


@pytest.mark.parametrize(
    ("content", "status"),
    [
        pytest.param(zip64(packed({"a.txt": "words"})), 415, id="Zip64"),
        pytest.param(b"PK\x03\x04 and then nothing", 415, id="damaged"),
        pytest.param(packed({}), 415, id="nothing"),
        pytest.param(packed({"__MACOSX/a": "b"}), 422, id="nothing of the user"),
        pytest.param(packed({f"{number}.txt": "a" for number in range(1001)}), 413, id="many"),
        pytest.param(packed({"a.txt": b"a" * 3_000_000}), 413, id="bomb"),
    ],
)
def test_a_zip_file_of_nothing_or_of_too_much_is_refused(
    service: Service, client: TestClient, content: bytes, status: int
) -> None:
    answer = bring(client, ("a.zip", content))
    assert answer.status_code == 207, answer.text
    assert answer.json()["documents"][0]["error"]["status"] == status
    assert service.house.is_empty()


def test_what_keeps_all_of_them_from_coming_is_one_refusal(client: TestClient) -> None:
    assert bring(client, ("a.txt", b"words"), modelName="nobody").status_code == 404
    assert bring(client).status_code == 422
    many = [(f"{number}.txt", b"words") for number in range(101)]
    assert bring(client, *many).status_code == 400
    missing = client.post("/importDocuments", files={"files": ("a.txt", b"words")})
    assert missing.status_code == 422
    assert "Known are: file" in missing.json()["detail"]
    single = client.post("/importDocument", files={"file": ("a.zip", packed({"a.txt": "words"}))})
    assert single.status_code == 415
    assert "importDocuments" in single.json()["detail"]


def test_of_two_files_of_one_name_none_replaces_the_other(
    service: Service, client: TestClient
) -> None:
    newer = pdf("Parking\nThe parking pass costs 50 euros a month.")
    archive = packed(
        {"2023/report.pdf": PARKING, "2024/report.PDF": newer, "2024/plan.txt": "words"}
    )
    answer = bring(client, ("all.zip", archive), ("report", newer), replace="true")
    assert ends(answer) == {
        "2023/report.pdf": "imported",
        "2024/report.PDF": "failed",
        "2024/plan.txt": "imported",
        "report": "failed",
    }
    second = answer.json()["documents"][1]["error"]
    assert second["status"] == 409
    assert "'2023/report.pdf'" in second["detail"]
    assert len(service.house.documents_of("demo")) == 2
