"""`llm-fastapi doctor` where it meets models and what it cannot open."""

import json
from pathlib import Path

import pytest

from api.__main__ import main
from api.data_folder import DataFolder
from api.data_folder.findings import Finding
from api.doctor import examine, lost_things, purge
from api.settings import Settings
from tests.databases import open_migrated

pytestmark = pytest.mark.anyio
MANIFEST_NAME = f"{'0' * 32}.json"
MANIFEST: dict[str, object] = {
    "name": "ada",
    "blob": "sha256-0.gguf",
    "base": None,
    "embeds": False,
    "created_at": "2026-01-01T00:00:00+00:00",
    "system": "",
    "template": None,
    "parameters": {},
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A data folder with a model that has no file yet."""
    settings = Settings(data_dir=tmp_path)
    open_migrated(settings.database_path).close()
    for folder in ("manifests", "blobs"):
        (settings.models_dir / folder).mkdir(parents=True)
    (settings.models_dir / "manifests" / MANIFEST_NAME).write_text(json.dumps(MANIFEST))
    return settings


@pytest.mark.parametrize("content", [None, b"GGUF and nothing"], ids=["missing", "damaged"])
async def test_a_model_without_its_file_is_found_once(
    settings: Settings, content: bytes | None
) -> None:
    if content:
        (settings.models_dir / "blobs" / "sha256-0.gguf").write_bytes(content)
    ((finding,), _) = await examine(settings, repair=True)
    assert f"model 'ada' is {'damaged' if content else 'missing'}" in finding.text
    assert not finding.repaired


async def test_a_model_whose_manifest_cannot_be_read_is_found_and_its_record_kept(
    settings: Settings,
) -> None:
    (settings.models_dir / "manifests" / MANIFEST_NAME).write_text("{")
    store = open_migrated(settings.database_path)
    store.models.put("ada", "persona", "demo")
    (manifest, record), _ = await examine(settings, repair=True)
    assert MANIFEST_NAME in manifest.text
    assert (manifest.repaired, record.repaired) == (False, False)
    assert store.models.get("ada")
    store.close()


async def test_a_record_without_its_model_is_removed(settings: Settings) -> None:
    (settings.models_dir / "manifests" / MANIFEST_NAME).unlink()
    store = open_migrated(settings.database_path)
    store.models.put("ada", "persona", "demo")
    ((finding,), _) = await examine(settings, repair=True)
    assert finding.repaired
    assert store.models.get("ada") is None
    store.close()


async def test_of_a_damaged_database_nothing_else_is_told(settings: Settings) -> None:
    await examine(settings, repair=False)
    with settings.database_path.open("r+b") as file:
        file.seek(settings.database_path.stat().st_size // 8192 * 4096)
        file.write(b"\xff" * 4096)
    findings, _ = await examine(settings, repair=True)
    assert findings
    assert all("atabase" in one.text and not one.repaired for one in findings)


async def test_weights_of_no_model_are_put_aside_and_a_check_moves_nothing(
    settings: Settings,
) -> None:
    weights = settings.models_dir / "blobs" / f"sha256-{'0' * 64}.gguf"
    await examine(settings, repair=True)
    weights.write_bytes(b"GGUF of nobody")
    found = await of_no_model(settings, repair=False)
    assert [one.repaired for one in found] == [False]
    assert weights.is_file()
    found = await of_no_model(settings, repair=True)
    assert [one.repaired for one in found] == [True]
    assert [path.name for path in lost_things(settings)] == [weights.name]
    assert purge(settings)
    assert lost_things(settings) == []


async def of_no_model(settings: Settings, *, repair: bool) -> list[Finding]:
    """What is found of weights."""
    examined = await examine(settings, repair=repair)
    return [one for one in examined.findings if "of no model" in one.text]


async def test_weights_stay_where_a_manifest_cannot_be_read(settings: Settings) -> None:
    weights = settings.models_dir / "blobs" / f"sha256-{'0' * 64}.gguf"
    await examine(settings, repair=True)
    weights.write_bytes(b"GGUF of a manifest that was cut")
    (settings.models_dir / "manifests" / MANIFEST_NAME).write_text("{")
    await examine(settings, repair=True)
    assert weights.is_file()


def test_a_doctor_that_cannot_look_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLM_FASTAPI_DATA_DIR", str(tmp_path))
    folder = DataFolder(tmp_path)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    folder.release()
