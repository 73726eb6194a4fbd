"""`uploads` with the stock SDK: a file that comes in parts."""

import hashlib
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.service import Service

pytestmark = pytest.mark.usefixtures("trainable")

CONTENT = bytes(range(256)) * 300


def begun(sdk: openai.OpenAI, size: int = len(CONTENT), **more: Any) -> Any:
    values = {"filename": "a.bin", "mime_type": "", "purpose": "user_data", **more}
    return sdk.uploads.create(bytes=size, **values)


def parts_of(sdk: openai.OpenAI, id: str, *contents: bytes) -> list[str]:
    return [sdk.uploads.parts.create(id, data=one).id for one in contents]


def test_the_helper_of_the_sdk_sends_a_file_in_parts(sdk: openai.OpenAI, tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(CONTENT)
    upload = sdk.uploads.upload_file_chunked(
        file=tmp_path / "large.bin",
        mime_type="application/octet-stream",
        purpose="assistants",
        part_size=20_000,
        md5=hashlib.md5(CONTENT, usedforsecurity=False).hexdigest(),
    )
    assert upload.status == "completed"
    assert upload.file
    assert (upload.file.filename, upload.file.bytes) == ("large.bin", len(CONTENT))
    assert sdk.files.content(upload.file.id).content == CONTENT
    assert sdk.files.list(purpose="assistants").data == [upload.file]


def test_parts_are_put_together_in_the_order_that_is_said(
    sdk: openai.OpenAI, service: Service
) -> None:
    upload = begun(sdk, 6, expires_after={"anchor": "created_at", "seconds": 7200})
    assert (upload.status, upload.file) == ("pending", None)
    assert upload.expires_at == upload.created_at + 3600
    second, _, first = parts_of(sdk, upload.id, b"def", b"again", b"abc")
    for ids, param in (
        ([first], "part_ids"),
        ([first, "part_0123456789abcdef"], "part_ids"),
        ([first, first], "part_ids"),
        ([first, "../upload.json"], "part_ids"),
        ([first, second], "md5"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            sdk.uploads.complete(upload.id, part_ids=ids, md5="0" * 32)
        assert refused.value.param == param
    with pytest.raises(openai.BadRequestError, match="far more"):
        parts_of(sdk, upload.id, b"beyond")
    with pytest.raises(openai.BadRequestError, match="empty"):
        parts_of(sdk, upload.id, b"")
    done = sdk.uploads.complete(upload.id, part_ids=[first, second])
    assert done.file
    assert sdk.files.content(done.file.id).content == b"abcdef"
    assert done.file.expires_at == done.file.created_at + 7200
    assert sdk.uploads.complete(upload.id, part_ids=[first, second]) == done
    assert len(sdk.files.list().data) == 1
    for late in (lambda: parts_of(sdk, upload.id, b"x"), lambda: sdk.uploads.cancel(upload.id)):
        with pytest.raises(openai.ConflictError) as refused_late:
            late()
        assert refused_late.value.response.headers["x-should-retry"] == "false"
    folder = service.app.state.services.settings.data_dir / "files" / upload.id
    assert [path.name for path in folder.iterdir()] == ["upload.json"]


def test_what_is_called_off_takes_no_more(sdk: openai.OpenAI, service: Service) -> None:
    upload = begun(sdk)
    ids = parts_of(sdk, upload.id, CONTENT)
    assert sdk.uploads.cancel(upload.id).status == "cancelled"
    assert sdk.uploads.cancel(upload.id).status == "cancelled"
    with pytest.raises(openai.ConflictError, match="cancelled"):
        sdk.uploads.complete(upload.id, part_ids=ids)
    with pytest.raises(openai.ConflictError, match="cancelled"):
        parts_of(sdk, upload.id, b"x")
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"size": 10**7}, "bytes"),
        ({"size": 0}, "bytes"),
        ({"filename": "n" * 300}, "filename"),
        ({"purpose": "batch_output"}, "purpose"),
    ]
    for wrong, param in refusals:
        with pytest.raises(openai.BadRequestError) as refused:
            begun(sdk, **wrong)
        assert refused.value.param == param
    path = f"/v1/uploads/{begun(sdk).id}/complete"
    hostiles: list[Any] = [None, "x", [], [1], [None], ["x" * 10**5], [["x"]], {}, ["x"] * 10_001]
    for hostile in hostiles:
        for body in ({"part_ids": hostile}, {"part_ids": ["x"], "md5": hostile or 1}):
            answer = service.client.post(path, json=body)
            assert answer.status_code == 400, (body, answer.text)
            assert answer.json()["error"]["param"].partition(".")[0] in body
    rows = begun(sdk, 9, purpose="fine-tune", filename="rows.jsonl")
    (part,) = parts_of(sdk, rows.id, b'{"a": 1}\n')
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.uploads.complete(rows.id, part_ids=[part])
    assert refused.value.param == "file"
