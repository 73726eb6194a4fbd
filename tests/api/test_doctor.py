"""`llm-fastapi doctor` where it meets models."""

import json
from pathlib import Path

import pytest

from api.__main__ import main
from api.doctor import examine
from api.settings import Settings


@pytest.mark.anyio
async def test_a_model_whose_file_is_missing_is_found(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    manifests = settings.models_dir / "manifests"
    manifests.mkdir(parents=True)
    manifest = {"name": "ada", "blob": "sha256-0.gguf", "base": None, "embeds": False}
    manifest |= {"created_at": "2026-01-01T00:00:00+00:00", "system": "", "template": None}
    (manifests / "ada.json").write_text(json.dumps(manifest | {"parameters": {}}))
    ((text, repaired),) = await examine(settings, repair=True)
    assert "model ada is missing" in text
    assert not repaired


def test_a_doctor_that_cannot_look_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLM_FASTAPI_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("LLM_FASTAPI_RUNTIME", "ollama")
    assert main(["doctor"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
