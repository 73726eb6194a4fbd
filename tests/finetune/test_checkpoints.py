"""Training goes on from the newest checkpoint that is whole."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from finetune.training.checkpoints import FILES, WEIGHTS, newest


def checkpoint(folder: Path, step: int, max_steps: int = 40) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    for name in FILES:
        with zipfile.ZipFile(path / name, "w") as file:
            file.writestr("data.pkl", "numbers")
    save_file({"a": np.zeros(4)}, path / WEIGHTS[0])
    state = {"global_step": step, "max_steps": max_steps}
    (path / "trainer_state.json").write_text(json.dumps(state))
    return path


def test_the_newest_is_taken_by_number_not_by_name(tmp_path: Path) -> None:
    checkpoint(tmp_path, 9)
    path = checkpoint(tmp_path, 10)
    found = newest(tmp_path)
    assert found is not None
    assert (found.path, found.step, found.is_last) == (path, 10, False)


@pytest.mark.parametrize("left", [0, 50])
@pytest.mark.parametrize("name", [*FILES, WEIGHTS[0]])
def test_one_whose_bytes_a_loss_of_power_took_is_no_whole_one(
    tmp_path: Path, name: str, left: int
) -> None:
    checkpoint(tmp_path, 10)
    newer = checkpoint(tmp_path, 20)
    os.truncate(newer / name, left)
    found = newest(tmp_path)
    assert found is not None
    assert found.step == 10
    assert not newer.exists()


@pytest.mark.parametrize("torn", ["no state", "half a state", *FILES, WEIGHTS[0]])
def test_a_torn_one_is_deleted_and_an_older_one_taken(tmp_path: Path, torn: str) -> None:
    checkpoint(tmp_path, 10)
    newer = checkpoint(tmp_path, 20)
    match torn:
        case "no state":
            (newer / "trainer_state.json").unlink()
        case "half a state":
            (newer / "trainer_state.json").write_text('{"global_step"')
        case _:
            (newer / torn).unlink()
    found = newest(tmp_path)
    assert found is not None
    assert found.step == 10
    assert not newer.exists()


def test_the_last_one_is_known_as_the_last(tmp_path: Path) -> None:
    checkpoint(tmp_path, 40)
    found = newest(tmp_path)
    assert found is not None
    assert found.is_last


def test_without_any_it_begins_anew(tmp_path: Path) -> None:
    assert newest(tmp_path / "none") is None
