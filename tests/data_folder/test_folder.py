"""Which folder the service takes for its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.data_folder import DataFolder
from api.errors import CannotStart
from api.settings import Settings
from api.store import open_store


@pytest.mark.parametrize("kept", ["documents/notes.txt", "uploads/photo.jpg", "thesis.pdf"])
def test_a_folder_of_somebody_else_is_refused_in_one_line_and_left_alone(
    tmp_path: Path, kept: str
) -> None:
    (tmp_path / kept).parent.mkdir(exist_ok=True)
    (tmp_path / kept).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CannotStart) as refused:
        DataFolder(tmp_path)
    assert kept.partition("/")[0] in str(refused.value)
    assert "LLM_FASTAPI_DATA_DIR" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_file_that_is_called_lock_makes_nothing_ours(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    DataFolder(tmp_path).release()  # as a start leaves it that got no further
    (tmp_path / "holiday.jpg").write_text("mine")
    with pytest.raises(CannotStart, match=r"holiday\.jpg"):
        DataFolder(tmp_path)


def test_base_models_and_what_a_file_system_makes_count_as_empty(tmp_path: Path) -> None:
    (tmp_path / "base_models" / "tiny").mkdir(parents=True)
    (tmp_path / "base_models" / "tiny" / "config.json").write_text("{}")
    (tmp_path / "lost+found").mkdir(mode=0o000)
    (tmp_path / "jobs").mkdir()
    DataFolder(tmp_path).release()


MOUNTED = """
import subprocess, sys
from pathlib import Path
from api.data_folder import DataFolder
folder = Path(sys.argv[1])
(folder / "elsewhere").mkdir()
(folder / "elsewhere" / "somebodys.pdf").write_text("mine")
(folder / "data" / "my jobs").mkdir(parents=True)
subprocess.run(["mount", "--bind", folder / "elsewhere", folder / "data" / "my jobs"], check=True)
DataFolder(folder / "data").release()
"""


def test_a_volume_that_is_mounted_below_counts_as_empty_on_the_same_file_system_too(
    tmp_path: Path,
) -> None:
    require_mounting()
    alone = ["unshare", "--map-root-user", "--mount", sys.executable, "-c", MOUNTED, str(tmp_path)]
    ended = subprocess.run(alone, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_an_installation_without_its_database_is_ours(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    DataFolder(tmp_path).release()
    open_store(settings.database_path).close()
    settings.documents_dir.mkdir()
    (settings.documents_dir / "notes.txt").write_text("mine")
    settings.database_path.rename(tmp_path / "moved away")
    DataFolder(tmp_path).release()


def require_mounting() -> None:
    """Skip where the kernel gives nobody a mount of his own."""
    tried = subprocess.run(["unshare", "--map-root-user", "--mount", "true"], capture_output=True)
    if tried.returncode:
        pytest.skip("this machine does not let us mount")


def test_an_empty_data_folder_is_the_default_and_a_tilde_is_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for empty in ("", "  "):
        monkeypatch.setenv("LLM_FASTAPI_DATA_DIR", empty)
        assert Settings().data_dir == Path("data")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for written in ("~/llm", "~"):
        monkeypatch.setenv("LLM_FASTAPI_DATA_DIR", written)
        assert Settings().data_dir == Path(os.path.expanduser(written))
        assert Settings().data_dir.is_relative_to(tmp_path / "home")
    assert Settings(data_dir=Path("~/x")).data_dir == tmp_path / "home" / "x"


CLOSED = """
import sys
from pathlib import Path
from api.data_folder import DataFolder
from api.data_folder.leftovers import sweep
from api.models.bases import is_base
from api.store.folders import open_folders
from api.settings import Settings
from api.store import open_store
settings = Settings(data_dir=Path(sys.argv[1]))
DataFolder(settings.data_dir).release()
store = open_store(settings.database_path)
sweep(settings)
assert open_folders(settings, store).notes == ()
assert not any(is_base(one) for one in settings.base_models_dir.iterdir())
store.close()
"""


def test_a_folder_that_is_closed_to_us_harms_nothing(tmp_path: Path) -> None:
    for name in (".", "documents", "jobs", "models", "base_models", "uploads", "converting"):
        (tmp_path / name / "lost+found").mkdir(parents=True)
        (tmp_path / name / "lost+found").chmod(0o000)
    (tmp_path / "lock").touch()
    powerless = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    ended = subprocess.run(
        [*(powerless if os.getuid() == 0 else ()), sys.executable, "-c", CLOSED, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
