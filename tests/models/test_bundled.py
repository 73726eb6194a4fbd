"""Models that come with the service: what is said while one cannot be made."""

from pathlib import Path

import pytest

from api.errors import BackEndFailed, InvalidOption
from api.models.bases import DEMO, DEMO_DELETED
from api.models.bundled import BundledModel, BundledModels, install_demo_base, open_bundled
from api.settings import Settings
from tests.fakes import FakeRuntime

pytestmark = pytest.mark.anyio


async def test_a_model_that_the_runtime_has_is_ready_at_once(tmp_path: Path) -> None:
    bundled = BundledModels(FakeRuntime(), [BundledModel("demo", "nowhere", "f16")], tmp_path)
    missing = bundled.why_missing("Demo")
    assert missing
    assert missing.status == 503
    await bundled.prepare("demo")
    assert bundled.why_missing("demo") is None
    assert bundled.states() == {"demo": "ready"}


async def test_a_model_that_cannot_be_converted_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    source = str(tmp_path / "nothing_here")
    work_dir = tmp_path / "converting"
    bundled = BundledModels(FakeRuntime(), [BundledModel("other", source, "f16")], work_dir)
    with pytest.raises(BackEndFailed, match="nothing_here"):
        await bundled.prepare("other")
    assert "could not be prepared" in bundled.states()["other"]
    assert bundled.why_missing("other")
    assert list(work_dir.iterdir()) == []


async def test_the_converter_gets_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os; open(__file__ + '.said', 'w').write(' '.join(os.environ)); os._exit(1)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("LLM_FASTAPI_API_KEY", "planted")
    bundled = BundledModels(FakeRuntime(), [BundledModel("other", "x", "f16")], tmp_path)
    with pytest.raises(BackEndFailed):
        await bundled.prepare("other")
    names = (tmp_path / "sitecustomize.py.said").read_text().split()
    assert "PYTHONPATH" in names
    assert "LLM_FASTAPI_API_KEY" not in names


async def test_collections_keep_the_embedder_of_an_earlier_version(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, runtime="llama_cpp")
    fresh = open_bundled(settings, FakeRuntime())
    older = open_bundled(settings, FakeRuntime(), ["all-minilm-l6-v2", "another"])
    assert set(fresh.states()) - {DEMO} == {"all-minilm-l6-v2-int8"}
    assert set(older.states()) - {DEMO} == {"all-minilm-l6-v2-int8", "all-minilm-l6-v2"}


async def test_other_models_are_none_of_its_business(tmp_path: Path) -> None:
    bundled = BundledModels(FakeRuntime(), [], tmp_path)
    assert bundled.why_missing("anything") is None
    await bundled.prepare("anything")


async def test_the_demo_model_comes_back_when_its_mark_is_removed(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    folder = settings.base_models_dir / DEMO
    mark = settings.base_models_dir / DEMO_DELETED
    mark.parent.mkdir()
    mark.touch()
    await install_demo_base(settings.base_models_dir)
    assert (DEMO in open_bundled(settings, FakeRuntime()).states(), folder.exists()) == (
        False,
        False,
    )
    mark.unlink()
    await install_demo_base(settings.base_models_dir)
    assert (DEMO in open_bundled(settings, FakeRuntime()).states(), folder.exists()) == (True, True)


async def test_one_that_nothing_names_yet_is_made_ready_when_it_is_asked_for(
    tmp_path: Path,
) -> None:
    there = BundledModel("there", "package:numpy", "f16", embeds=True)
    absent = BundledModel("absent", "package:no-such-package-of-ours", "f16", embeds=True)
    bundled = BundledModels(FakeRuntime(), [], tmp_path, [there, absent])
    assert bundled.states() == {}
    await bundled.bring("anything")
    with pytest.raises(InvalidOption, match="pip install no-such-package-of-ours"):
        await bundled.bring("Absent")
    with pytest.raises(BackEndFailed, match="converter"):  # it holds no model
        await bundled.bring("there")
    assert bundled.states() == {}
    there = BundledModel("all-minilm-l6-v2-int8", "package:numpy", "f16", embeds=True)
    await BundledModels(FakeRuntime(), [], tmp_path, [there]).bring("all-MiniLM-L6-v2-int8")
