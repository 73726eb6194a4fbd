"""Where the figures of a training also go: TensorBoard files always, MLflow and Weights & Biases by setting.

They are watched, not trusted: a tracker that fails is a warning, and is asked no more.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from transformers import TrainerCallback
from transformers.integrations.integration_utils import (
    MLflowCallback,
    TensorBoardCallback,
    WandbCallback,
)

from finetune.job.child_process import TRACKERS as SETTING
from finetune.job.directory import JobDirectory

TRACKERS: dict[str, Callable[[], TrainerCallback]] = {
    "mlflow": MLflowCallback,
    "wandb": WandbCallback,
}
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "WANDB_INIT_TIMEOUT": "20",
    "WANDB_SILENT": "true",
    "WANDB_LOG_MODEL": "false",
}
"""Unless the operator says otherwise, nobody waits long for a tracker that is away."""


class Watched(TrainerCallback):
    """A tracker whose first failure is its last word."""

    def __init__(self, name: str, make: Callable[[], TrainerCallback], job: JobDirectory) -> None:
        self._name = name
        self._job = job
        self._tracker: TrainerCallback | None = None
        self._guarded(lambda: setattr(self, "_tracker", make()))

    def _guarded(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # whatever a tracker raises
            self._tracker = None
            reason = f"{type(error).__name__}: {error}"[:300]
            detail = f"{self._name} takes no more figures: {reason}"
            self._job.append_event("train", "warning", kind="tracker", detail=detail)

    def _hand_on(self, event: str, *places: Any, **named: Any) -> None:
        if self._tracker is not None:
            self._guarded(lambda: getattr(self._tracker, event)(*places, **named))

    def on_train_begin(self, *places: Any, **named: Any) -> None:
        """Open the run."""
        self._hand_on("on_train_begin", *places, **named)

    def on_log(self, *places: Any, **named: Any) -> None:
        """Hand on the figures."""
        self._hand_on("on_log", *places, **named)

    def on_train_end(self, *places: Any, **named: Any) -> None:
        """Close the run."""
        self._hand_on("on_train_end", *places, **named)


def callbacks(job: JobDirectory, folder: Path) -> list[TrainerCallback]:
    """One a tracker; `folder` is that of the stage, and its `tensorboard` holds the event files."""
    for name, value in (PATIENCE | {"WANDB_DIR": str(folder)}).items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("WANDB_NAME", job.id)
    tensorboard = folder / "tensorboard"
    found: list[TrainerCallback] = [Watched("TensorBoard", lambda: _tensorboard(tensorboard), job)]
    for name in filter(None, (part.strip() for part in os.environ.get(SETTING, "").split(","))):
        if name not in TRACKERS:
            detail = f"{SETTING} names {name!r}; known: {', '.join(TRACKERS)}."
            job.append_event("train", "warning", kind="tracker", detail=detail)
        else:
            found.append(Watched(name, TRACKERS[name], job))
    return found


def _tensorboard(folder: Path) -> TrainerCallback:
    make: Any = TensorBoardCallback
    made: TrainerCallback = make(SummaryWriter(str(folder)))
    return made
