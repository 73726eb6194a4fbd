"""What the service put into `lost/` can be purged, whatever it is."""

from pathlib import Path

import pytest

from api.data_folder.lost import Lost

DIGEST = "a" * 64


@pytest.mark.parametrize(
    "name",
    ["doc_0123456789abcdef.docx", "doc_0123456789abcdef.json", "job_0123456789abcdef"]
    + [f"sha256-{DIGEST}.{ending}" for ending in ("gguf", "onnx", "onnx~2")],
)
def test_all_that_is_ever_put_there_is_purged(tmp_path: Path, name: str) -> None:
    place = tmp_path / "lost" / "2026-01-01" / "things"
    place.mkdir(parents=True)
    (place / name).touch()
    (place / "theirs.onnx").touch()
    assert [one.name for one in Lost(tmp_path).purge()] == [name]
    assert [one.name for one in place.iterdir()] == ["theirs.onnx"]
