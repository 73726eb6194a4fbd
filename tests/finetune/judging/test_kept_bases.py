"""The GGUF of a base is made once for all jobs, and never left half made."""

import threading
import time
from pathlib import Path

import pytest

from finetune.job.kept_bases import kept_base, sweep_kept_bases
from finetune.job.stage import StageFailed


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def test_two_jobs_at_once_make_it_once(base: Path, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    made: list[Path] = []

    def make(path: Path) -> None:
        time.sleep(0.1)
        path.write_text("GGUF")
        made.append(path)

    got: list[tuple[Path, bool]] = []
    threads = [
        threading.Thread(target=lambda: got.append(kept_base(jobs, base, "Q8_0", make)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert {path.read_text() for path, _ in got} == {"GGUF"}
    assert sorted(is_new for _, is_new in got) == [False, False, True]
    path, _ = kept_base(jobs, base, "F16", make)
    assert path.name.endswith("-F16.gguf")


def test_what_could_not_be_made_is_tried_again_and_a_changed_base_is_another_one(
    base: Path, tmp_path: Path
) -> None:
    def fail(path: Path) -> None:
        path.with_name("f16.gguf").write_text("half")
        raise StageFailed("Conversion failed", "no")

    def make(path: Path) -> None:
        path.write_text("GGUF")

    with pytest.raises(StageFailed):
        kept_base(tmp_path, base, "Q8_0", fail)
    first, is_new = kept_base(tmp_path, base, "Q8_0", make)
    assert is_new
    (base / "config.json").write_text('{"other": 1}')
    second, is_new = kept_base(tmp_path, base, "Q8_0", make)
    assert is_new
    kept = [path.name for path in first.parent.iterdir() if path.suffix == ".gguf"]
    assert kept == [second.name]
    assert not (first.parent / ".making").exists()
    (base / "config.json").unlink()
    sweep_kept_bases(tmp_path)
    assert [path.name for path in first.parent.iterdir()] == ["lock"]
