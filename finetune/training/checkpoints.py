"""Finds where training can go on; a checkpoint that a crash has torn is deleted."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from finetune.job.locks import read_json

FILES = ("adapter_model.safetensors", "optimizer.pt", "scheduler.pt")


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
        if isinstance(state, dict) and all((path / name).is_file() for name in FILES):
            step = int(state["global_step"])
            whole.append(Checkpoint(step, path, step >= int(state["max_steps"])))
        else:
            shutil.rmtree(path)
    return max(whole, key=lambda checkpoint: checkpoint.step, default=None)
