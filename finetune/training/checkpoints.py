"""Finds where training can go on; a checkpoint that a crash, a loss of power or a full disk has torn is deleted."""

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from finetune.job.files import read_json
from finetune.preflight.arrived import is_whole_file

FILES = ("optimizer.pt", "scheduler.pt")
"""As `torch.save` writes them: as ZIP files, whose table stands at their end."""
WEIGHTS = ("adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint, and whether training had come to its end there."""

    step: int
    path: Path
    is_last: bool


def newest(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint; torn ones are deleted. Its state is the file that is written last."""
    whole: list[Checkpoint] = []
    for path in folder.glob("checkpoint-*"):
        state = read_json(path / "trainer_state.json")
        if isinstance(state, dict) and _is_whole(path):
            step = int(state["global_step"])
            whole.append(Checkpoint(step, path, step >= int(state["max_steps"])))
        else:
            shutil.rmtree(path)
    return max(whole, key=lambda checkpoint: checkpoint.step, default=None)


def _is_whole(path: Path) -> bool:
    """Whether its files are there and, by their sizes and ends, whole: names can outlive a loss of power, not bytes."""
    return (
        all(zipfile.is_zipfile(path / name) for name in FILES)
        and any((path / name).is_file() for name in WEIGHTS)
        and all(is_whole_file(one) for one in path.glob("*.safetensors"))
    )
