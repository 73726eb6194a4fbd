"""`files` with the stock SDK: sent, looked at, fetched, listed and deleted."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import openai
import pytest

from tests.routes.openai.conftest import sdk_over
from tests.service import Service

TURNS = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi."}]
ROWS = b"".join(json.dumps({"messages": TURNS}).encode() + b"\n" for _ in range(12))
TABLE = b"prompt,completion\n" + b"Who?,Orlo.\n" * 12
pytestmark = pytest.mark.usefixtures("trainable")

HOUR: Any = {"anchor": "created_at", "seconds": 3600}


def sent(sdk: openai.OpenAI, name: str = "notes.txt", content: bytes = b"Some notes.") -> Any:
    return sdk.files.create(file=(name, content), purpose="user_data")


def test_a_file_is_kept_as_it_came_until_it_is_deleted(sdk: openai.OpenAI) -> None:
    file = sent(sdk, "\u00dcber mich.txt", b"\x00\xff bytes")
    assert (file.filename, file.bytes, file.purpose) == ("\u00dcber mich.txt", 8, "user_data")
    assert abs(file.created_at - time.time()) < 60
    assert file.expires_at is None
    assert sdk.files.retrieve(file.id) == file
    assert sdk.files.list().data == [file]
    answer = sdk.files.content(file.id)
    assert answer.content == b"\x00\xff bytes"
    assert answer.response.headers["content-type"].startswith("text/plain")
    assert "%C3%9Cber%20mich.txt" in answer.response.headers["content-disposition"]
    with pytest.raises(openai.APIStatusError) as beyond:
        sdk.files.content(file.id, extra_headers={"Range": "bytes=9-"})
    assert beyond.value.status_code == 416
    assert beyond.value.response.headers["content-range"] == "bytes */8"
    assert sdk.files.delete(file.id).deleted
    for gone in (sdk.files.retrieve, sdk.files.content, sdk.files.delete):
        with pytest.raises(openai.NotFoundError):
            gone(file.id)


def test_a_file_whose_bytes_are_gone_is_not_found(sdk: openai.OpenAI, service: Service) -> None:
    file = sent(sdk)
    service.app.state.services.files.path(file.id).unlink()
    with pytest.raises(openai.NotFoundError, match="gone"):
        sdk.files.content(file.id)
    assert sdk.files.delete(file.id).deleted


def test_a_damaged_card_is_in_no_list_and_is_named(
    sdk: openai.OpenAI, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    whole, damaged = sent(sdk), sent(sdk)
    files = service.app.state.services.files
    (files.path(damaged.id).parent / "file.json").write_text('{"purpose": "batch"}')
    assert [one.id for one in sdk.files.list()] == [whole.id]
    assert damaged.id in caplog.text
    assert files.unreadable() == [damaged.id]
    with pytest.raises(openai.NotFoundError, match="cannot be read"):
        sdk.files.retrieve(damaged.id)


def test_pages_of_files_follow_each_other(sdk: openai.OpenAI) -> None:
    ids = [sent(sdk, f"{number}.txt").id for number in range(5)]
    batch = sdk.files.create(file=("b.jsonl", b"{}"), purpose="batch", expires_after=HOUR)
    assert batch.expires_at == batch.created_at + 3600
    assert [one.id for one in sdk.files.list(limit=2)] == [batch.id, *reversed(ids)]
    assert [one.id for one in sdk.files.list(limit=2, order="asc", after=ids[1])] == [
        *ids[2:],
        batch.id,
    ]
    first = sdk.files.list(limit=2, purpose="user_data")
    assert ([one.id for one in first.data], first.has_more) == ([ids[4], ids[3]], True)
    assert sdk.files.list(purpose="vision").data == []


@pytest.mark.parametrize(("name", "content"), [("rows.jsonl", ROWS), ("rows.csv", TABLE)])
def test_a_file_to_fine_tune_on_is_a_dataset(
    sdk: openai.OpenAI, service: Service, name: str, content: bytes
) -> None:
    file = sdk.files.create(file=(name, content), purpose="fine-tune", expires_after=HOUR)
    assert file.expires_at
    assert 3595 <= file.expires_at - file.created_at <= 3600
    (dataset,) = service.client.get("/datasets").json()["datasets"]
    assert (dataset["dataset_id"], dataset["rows"]["train"]) == (file.id, 12)
    assert datetime.fromisoformat(dataset["kept_until"]).timestamp() == file.expires_at
    assert sdk.files.content(file.id).content == content
    other = service.client.post("/datasets", files={"file": ("mine.csv", TABLE)}).json()
    listed = {one.id: one.filename for one in sdk.files.list(purpose="fine-tune")}
    assert listed == {file.id: name, other["dataset_id"]: "mine.csv"}
    assert service.client.delete(f"/datasets/{other['dataset_id']}").status_code == 200
    sdk.files.delete(file.id)
    assert sdk.files.list().data == []
    assert service.client.get(f"/datasets/{file.id}").status_code == 404


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"purpose": "assistants_output"}, "purpose", ""),
    ({"purpose": ""}, "purpose", ""),
    ({"expires_after": {"anchor": "last_active_at", "seconds": 3600}}, "expires_after.anchor", ""),
    ({"expires_after": {"anchor": "created_at", "seconds": 60}}, "expires_after.seconds", "3600"),
    ({"expires_after": {"anchor": "created_at"}}, "expires_after.seconds", ""),
    ({"file": ("empty.txt", b"")}, "file", "empty"),
    ({"file": ("n" * 300, b"x")}, "file", "255"),
    (
        {
            "file": ("bad.jsonl", ROWS + b'{"messages": [{"role": "user"}]}\n'),
            "purpose": "fine-tune",
        },
        "file",
        "row 13",
    ),
    ({"file": ("a.png", b"\x89PNG\r\n\x1a\n"), "purpose": "fine-tune"}, "file", "an image"),
]


def test_what_cannot_be_kept_is_refused_with_the_field_and_the_reason(sdk: openai.OpenAI) -> None:
    for wrong, param, said in REFUSED:
        values: dict[str, Any] = {"file": ("a.txt", b"x"), "purpose": "user_data", **wrong}
        with pytest.raises(openai.BadRequestError) as refused:
            sdk.files.create(**values)
        assert (refused.value.param, refused.value.type) == (param, "invalid_request_error"), wrong
        assert said in refused.value.message
    with pytest.raises(openai.APIStatusError) as large:
        sdk.files.create(file=("large.bin", bytes(300_000)), purpose="user_data")
    assert large.value.status_code == 413
    for field, value in (("limit", "0"), ("limit", "x"), ("order", "up"), ("purpose", "evil")):
        with pytest.raises(openai.BadRequestError) as refused:
            sdk.files.list(extra_query={field: value})
        assert refused.value.param == field
    assert sdk.files.list().data == []


HOSTILE: list[dict[str, Any]] = [
    {"json": {"purpose": "user_data", "file": "x"}},
    {"data": {"purpose": "user_data", "file": "text"}},
    {"data": {"purpose": "user_data", "file": "text"}, "files": {"other": ("a", b"x")}},
    {"files": [("purpose", (None, "batch")), ("purpose", (None, "evals")), ("file", ("a", b"x"))]},
    {"files": [("purpose", (None, "batch")), ("file", ("a", b"x")), ("file", ("b", b"x"))]},
    {"files": {"purpose": ("batch", b"batch"), "file": ("a", b"x")}},
    {"data": {"purpose": "batch", "expires_after": "3600"}, "files": {"file": ("a", b"x")}},
    {
        "data": {"purpose": "batch", "expires_after": "1", "expires_after[seconds]": "1"},
        "files": {"file": ("a", b"x")},
    },
    {"data": {"purpose": "batch", "purpose[0]": "x"}, "files": {"file": ("a", b"x")}},
    {"data": {"purpose": "\x00"}, "files": {"file": ("a", b"x")}},
    {"data": {"purpose": "user_data", "base_model": "x" * 300}, "files": {"file": ("a", b"x")}},
    {"content": b"--x\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}},
    {"content": b"", "headers": {"content-type": "multipart/form-data"}},
]


@pytest.mark.parametrize("path", ["/v1/files", "/v1/uploads/upload_0123456789abcdef/parts"])
def test_nothing_hostile_is_a_defect(service: Service, path: str) -> None:
    for request in HOSTILE:
        answer = service.client.post(path, **request)
        assert answer.status_code in (400, 404), (request, answer.text)
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    unknown = {"purpose": "evals", "colour": "red"}
    kept = service.client.post("/v1/files", data=unknown, files={"file": ("..\\a/b", b"x")})
    assert (kept.status_code, kept.json()["purpose"]) == (200, "evals")


def test_a_key_sees_files_as_it_sees_what_is_made_of_them(service: Service) -> None:
    keys: dict[str, str] = {}
    for scope in ("admin", "use", "train"):
        headers = {"Authorization": f"Bearer {keys.get('admin', '')}"}
        wanted = {"alias": scope, "scopes": [scope]}
        made = service.client.post("/keys", json=wanted, headers=headers)
        keys[scope] = made.json()["key"]
    of = {scope: sdk_over(service.client, key) for scope, key in keys.items()}
    notes = sent(of["use"])
    rows = of["train"].files.create(file=("rows.jsonl", ROWS), purpose="fine-tune")
    for scope, own, other in (("use", notes, rows), ("train", rows, notes)):
        files = of[scope].files
        assert [one.id for one in files.list()] == [own.id]
        assert files.retrieve(own.id) == own
        for refused in (files.retrieve, files.content, files.delete):
            with pytest.raises(openai.PermissionDeniedError):
                refused(other.id)
    with pytest.raises(openai.PermissionDeniedError):
        of["use"].files.create(file=("rows.jsonl", ROWS), purpose="fine-tune")
    assert {one.id for one in of["admin"].files.list()} == {notes.id, rows.id}


def test_what_is_over_goes_in_every_workspace(sdk: openai.OpenAI, service: Service) -> None:
    services = service.app.state.services
    stays = sent(sdk)
    passing: Any = {"vision": b"x", "fine-tune": ROWS}
    for purpose, content in passing.items():
        sdk.files.create(file=("a", content), purpose=purpose, expires_after=HOUR)
    upload = sdk.uploads.create(bytes=3, filename="a", mime_type="", purpose="vision")
    sdk.uploads.parts.create(upload.id, data=b"abc")
    assert service.client.portal
    write = services.of("team").files.write
    service.client.portal.call(
        lambda: write("batch_output", "out.jsonl", iter([b"a", b"b"]), expires_after_seconds=60)
    )
    assert len(sdk.files.list().data) == 3
    service.client.portal.call(services.expiry.sweep, datetime.now(UTC) + timedelta(hours=2))
    assert sdk.files.list().data == [stays]
    left = [
        *(services.settings.data_dir / "files").iterdir(),
        *services.settings.datasets_dir.iterdir(),
    ]
    assert [path.name for path in left] == [stays.id]
