"""Bad input to every endpoint: the right status, a problem that tells, nothing echoed, nothing kept."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from api.data_folder import CARD
from tests.documents.pdfs import drawing_only, pdf
from tests.jobs.workshop import csv_file
from tests.service import Service, open_service, settled

LONG = "long" * 50_000
ASK = {"user_prompt": "hello", "modelName": "demo"}
OF_THIS_MACHINE = re.compile(r"/pytest-|/home|/root|/usr/|Traceback|\.py\b(?! ORG)|0x[0-9a-f]{8}")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a base that can be trained."""
    folder = tmp_path_factory.mktemp("house")
    base = folder / "base_models" / "demo"
    base.mkdir(parents=True)
    (base / "config.json").write_text("{}")
    with open_service(folder) as service:
        yield service


@pytest.fixture(scope="module")
def client(service: Service) -> TestClient:
    return service.client


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left_behind(service: Service) -> Iterator[None]:
    """After all of it the service is as it was."""
    yield
    client, house = service.client, service.house
    settled(service)
    kept = {path.name for path in (house.folder / "jobs").iterdir()} - {"supervisor.lock", CARD}
    assert kept == set()
    assert client.get("/jobs").json()["jobs"] == []
    assert client.get("/list_models").json() == {"All Created Models": ["demo"]}
    assert client.get("/list_documents?modelName=demo").json()["documents"] == []
    assert list((house.folder / "uploads").iterdir()) == []
    assert house.is_empty()


def refused(client: TestClient, method: str, url: str, status: int, **sent: Any) -> dict[str, Any]:
    """Send it, and hold the answer to what every refusal must be."""
    response = client.request(method, url, **sent)
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail", "instance"} <= problem.keys()
    assert problem["detail"].strip()
    assert len(response.content) < 6000
    assert not OF_THIS_MACHINE.search(response.text)
    return problem


def raw_json(text: str | bytes) -> dict[str, Any]:
    """A body that says it is JSON."""
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return {"content": content, "headers": {"Content-Type": "application/json"}}


def form_data(
    content: bytes, content_type: str = "multipart/form-data; boundary=b"
) -> dict[str, Any]:
    """A body that says it is multipart."""
    return {"content": content, "headers": {"Content-Type": content_type}}


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/generate", 405),
        ("PUT", "/jobs", 405),
        ("POST", "/createModel/a%2Fb", 422),
        ("POST", "/createModel/a%2F", 422),
        ("POST", "/createModel/..%2F..%2Fx", 422),
        ("POST", "/createModel/a%00", 422),
        ("POST", "/createModel/%FF", 422),
        ("POST", "/createModel/-a", 422),
        ("POST", "/createModel/a--checking", 422),
        ("POST", "/createModel/" + "a" * 81, 422),
        ("POST", "/createModel/demo", 409),
        ("POST", "/createModel/DEMO:latest", 409),
        ("POST", "/createModel/x?baseModel=nobody", 404),
        ("POST", f"/createModel/x?baseModel={'a' * 201}", 422),
        ("POST", "/createModel/x?parameters={", 422),
        ("POST", "/createModel/x?parameters=" + quote('{"seed": 1, "seed": 2}'), 422),
        ("POST", "/createModel/x?parameters=" + quote('{"stop": ["\\ud800"]}'), 422),
        ("POST", "/createModel/x?template=" + quote("{{"), 422),
        ("GET", "/show_model/demo%2F", 404),
        ("DELETE", "/deleteModel/demo%2F", 404),
        ("GET", "/show_model/" + "a" * 30_000, 404),
        ("GET", "/documents/" + "a" * 30_000, 404),
        ("GET", "/jobs/" + "a" * 30_000, 404),
        ("GET", "/jobs?status=bogus", 422),
        ("GET", "/jobs/x/events?after=nan", 422),
        ("POST", "/jobs/x/cancel", 404),
        ("GET", "/list_documents", 422),
        ("GET", "/list_documents?modelName=nobody", 404),
        ("DELETE", "/delete_document?modelName=demo&document=none", 404),
        ("DELETE", f"/delete_document?modelName=demo&document={'d' * 201}", 422),
        ("POST", "/generate?" + "&".join(f"a{n}=1" for n in range(1001)), 400),
    ],
)
def test_a_bad_path_or_query_is_refused(
    client: TestClient, method: str, url: str, status: int
) -> None:
    refused(client, method, url, status)


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ("{", 400, "line 1"),
        ("[]", 400, "object"),
        (b"\xff\xfe{", 400, "UTF-8"),
        ('{"stop": ' + "[" * 100_000, 400, "deep"),
        ('{"temperature": NaN}', 422, "temperature"),
        ('{"seed": ' + "9" * 5000 + "}", 422, "seed"),
        ('{"user_prompt": "a", "user_prompt": "b"}', 422, "user_prompt"),
        ('{"user_prompt": "\\ud800"}', 422, "user_prompt"),
        (json.dumps({**ASK, "max_tokens": 1.5}), 422, "max_tokens"),
        (json.dumps({**ASK, "top_a": 1}), 422, "top_a"),
        (json.dumps({**ASK, LONG: 1}), 422, "Unknown"),
        (json.dumps({**ASK, "modelName": LONG}), 422, "modelName"),
        (json.dumps({**ASK, "modelName": "nobody"}), 404, "nobody"),
        (json.dumps({**ASK, "documents": [LONG]}), 422, "documents"),
        (json.dumps({**ASK, "documents": ["none"]}), 404, "none"),
        (json.dumps({**ASK, "documents": ["\x00../../etc/passwd"]}), 404, "passwd"),
        (json.dumps({**ASK, "user_prompt": " \n\u2003"}), 422, "user_prompt"),
        (json.dumps({**ASK, "user_prompt": "word " * 5000}), 422, "prompt_tokens"),
        (json.dumps({**ASK, "per_document": True}), 422, "per_document"),
        ("{" + ",".join(f'"k{n}":1' for n in range(40_000)) + ',"k39999":1}', 422, "k39999"),
    ],
    ids=range(20),
)
def test_a_bad_question_is_refused_by_what_is_wrong(
    client: TestClient, body: str | bytes, status: int, named: str
) -> None:
    problem = refused(client, "POST", "/generate", status, **raw_json(body))
    assert named in json.dumps(problem)


PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n%PDF-1.4\r\n'


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (form_data(PART + b"--b--\r\n", "multipart/form-data"), 400),
        (form_data(PART + b"--b--\r\n", "multipart/form-data; boundary=other"), 400),
        (form_data(PART), 400),
        (form_data(PART[:40]), 400),
        (form_data(PART + PART[:60]), 400),
        (form_data(PART.replace(b'name="file"; ', b"") + b"--b--\r\n"), 400),
        (form_data(PART.replace(b"\r\n\r\n", b"\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 1)), 400),
        (form_data(PART * 17 + b"--b--\r\n"), 400),
        (form_data(PART + PART + b"--b--\r\n"), 422),
        (form_data(PART.replace(b"a.pdf", b"\xe9.pdf") + b"--b--\r\n"), 422),
        (form_data(PART.replace(b"a.pdf", b"..") + b"--b--\r\n"), 422),
        (form_data(PART.replace(b"a.pdf", b"a" * 201) + b"--b--\r\n"), 422),
        (form_data(PART + b"--b--\r\n", "multipart/form-data; boundary=b; charset=hex"), 422),
        ({"json": {"file": "x"}}, 415),
        ({"files": {"file": ("a.pdf", b"<html>")}}, 415),
        ({"files": {"file": ("a.pdf", b"")}}, 415),
        ({"files": {"file": ("a.pdf", b"%PDF-1.4\n" + b"x" * 200_000)}}, 413),
        ({"files": {"file": ("a.pdf", b"%PDF-1.4\nbroken")}}, 422),
        ({"files": {"file": ("a.pdf", drawing_only())}}, 422),
    ],
    ids=range(19),
)
def test_a_bad_upload_is_refused(client: TestClient, sent: dict[str, Any], status: int) -> None:
    refused(client, "POST", "/importDocument?modelName=demo", status, **sent)


def test_a_refusal_says_what_would_be_right(client: TestClient) -> None:
    """The commonest slips of who calls with curl."""
    slips: list[tuple[str, str, dict[str, Any], int, str]] = [
        ("GET", "/generate", {}, 405, "POST"),
        ("POST", "/createModel/x", {"content": b"[]"}, 400, "JSON object"),
        ("POST", "/importDocument", {"content": b"%PDF-1.4"}, 415, "-F file=@FILE"),
        ("POST", "/importDocument", {"files": {"file": (None, "a.pdf")}}, 422, "-F file=@FILE"),
        ("POST", "/datasets", {"content": b"a,b"}, 415, "-F file=@FILE"),
        ("PATCH", "/models/demo", {"json": {"temperature": 1}}, 422, "Use options"),
        ("PATCH", "/models/demo", {"json": {"system": "x"}}, 422, "createModel"),
    ]
    for method, url, sent, status, said in slips:
        assert said in refused(client, method, url, status, **sent)["detail"], url


def dataset(content: bytes) -> dict[str, Any]:
    """An upload of a dataset."""
    return {"files": {"train_dataset": ("t.csv", content)}}


@pytest.mark.parametrize(
    ("url", "content", "status"),
    [
        ("/fine_tune_model/x", b"%PDF-1.4\n", 415),
        ("/fine_tune_model/x", b"PK\x03\x04" + bytes(30), 415),
        ("/fine_tune_model/x", b"", 422),
        ("/fine_tune_model/x", b"messages\n", 422),
        ("/fine_tune_model/x", csv_file(1).getvalue(), 422),
        ("/fine_tune_model/x", csv_file(30, "[" * 5000).getvalue(), 422),
        ("/fine_tune_model/x", csv_file(30, "__import__('os')").getvalue(), 422),
        ("/fine_tune_model/x?lr=nan", csv_file().getvalue(), 422),
        ("/fine_tune_model/x?lr=1&learning_rate=2", csv_file().getvalue(), 422),
        ("/fine_tune_model/x?baseModel=../../etc", csv_file().getvalue(), 404),
        ("/fine_tune_model/demo", csv_file().getvalue(), 409),
        ("/fine_tune_model/a%2Fb", csv_file().getvalue(), 422),
    ],
    ids=range(12),
)
def test_a_bad_dataset_is_refused(
    client: TestClient, url: str, content: bytes, status: int
) -> None:
    refused(client, "POST", url, status, **dataset(content))


@pytest.mark.parametrize("origin", ["http://evil", "null", "http://[::1", "http://127.0.0.1@evil"])
def test_a_foreign_page_is_refused(client: TestClient, origin: str) -> None:
    refused(client, "POST", "/createModel/x", 403, headers={"Origin": origin})
    refused(client, "GET", "/list_models", 403, headers={"Origin": origin})


@pytest.mark.parametrize(
    "system",
    ["caf\u00e9 cafe\u0301", "{{ 7*7 }} {x} %s <|im_end|>", "\u202e\u2028\x00\r\n\t ", "😀" * 9],
)
@pytest.mark.parametrize("source", ["params", "data", "json"])
def test_a_system_prompt_comes_back_equal(client: TestClient, system: str, source: str) -> None:
    sent: dict[str, Any] = {source: {"system": system}}
    created = client.post("/createModel/Kept", **sent)
    assert created.status_code == 201, created.text
    try:
        assert client.get("/show_model/kept").json()["system"] == system
        answer = client.post("/generate", json={**ASK, "modelName": "KEPT:latest"})
        assert answer.status_code == 200, answer.text
    finally:
        assert client.delete("/deleteModel/kept").status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "my file.pdf",
        "cafe\u0301.pdf",
        "\u6f22\u5b57 😀.PDF",
        "-rf.pdf",
        "a;b&c=d%.pdf",
        "{{x}}",
        "*",
    ],
)
def test_an_odd_file_name_is_kept_and_found(client: TestClient, name: str) -> None:
    file = (name, pdf(f"The name is {name.encode().hex()}."))
    imported = client.post("/importDocument?modelName=demo", files={"file": file})
    assert imported.status_code == 201, imported.text
    assert imported.json()["name"] == name
    given = {"modelName": "demo", "document": name.removesuffix(".pdf")}
    assert client.delete("/delete_document", params=given).status_code == 200
