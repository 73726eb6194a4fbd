"""What training tells while it runs, and where it stops: events about once a second, an end at the next step."""

import math
import resource
import time
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from finetune.job.directory import JobDirectory
from finetune.job.kept import Kept, has_stalled
from finetune.job.stage import Interrupted

LEAST_SECONDS = 1.0


def memory_bytes() -> int:
    """The most memory training has taken: of the GPU where there is one, else RAM."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class StopWish:
    """SIGTERM, remembered until the next safe point."""

    def __init__(self) -> None:
        self.is_made = False
        self.is_training = False

    def make(self) -> None:
        """End at the next step; outside of the steps at once, for there is nothing to save."""
        self.is_made = True
        if not self.is_training:
            raise Interrupted


class Watcher(TrainerCallback):
    """Writes progress events, and ends training with a checkpoint when told to."""

    def __init__(
        self, job: JobDirectory, wish: StopWish, kept: Kept, patience: int | None = None
    ) -> None:
        """`patience`: the evaluations without a lower loss after which it stops."""
        self.has_stopped_early = False
        self._job = job
        self._wish = wish
        self._kept = kept
        self._patience = patience
        self._eval_loss: tuple[int, float] | None = None
        self._started: tuple[float, int] | None = None
        self._reported = 0.0

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start the clock at the first step of this process."""
        del args, control
        self._started = self._started or (time.monotonic(), state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Stop here, with a checkpoint, when it is wished."""
        del args, state
        if self._wish.is_made or self._job.is_cancel_requested():
            control.should_training_stop = True
            control.should_save = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Report a step; the last one always."""
        del args, control
        now = time.monotonic()
        is_last = state.global_step >= state.max_steps
        if logs and "eval_loss" in logs:
            self._eval_loss = (state.global_step, logs["eval_loss"])
            loss = round(logs["eval_loss"], 5)  # an event says nothing of what is no number
            self._job.append_event(
                "train", "progress", step=state.global_step, steps=state.max_steps, eval_loss=loss
            )
        if not logs or "loss" not in logs or self._started is None:
            return
        if now - self._reported < LEAST_SECONDS and not is_last:
            return
        self._reported = now
        seconds = max(now - self._started[0], 1e-6)
        steps = state.global_step - self._started[1]
        self._job.append_event(
            "train",
            "progress",
            step=state.global_step,
            steps=state.max_steps,
            loss=round(logs["loss"], 5),
            learning_rate=logs.get("learning_rate"),
            tokens_per_second=round(logs.get("num_tokens", 0.0) / seconds, 1),
            eta_seconds=round((state.max_steps - state.global_step) * seconds / max(steps, 1), 1),
            memory_bytes=memory_bytes(),
        )

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Keep what was learned so far, and tell where it can go on."""
        step, known = state.global_step, self._eval_loss
        loss = known[1] if known and known[0] == step and math.isfinite(known[1]) else None
        self._kept.add(step, loss, Path(str(args.output_dir)) / f"checkpoint-{step}")
        path = f"train/checkpoints/checkpoint-{step}"
        self._job.append_event("train", "checkpoint", step=step, path=path, eval_loss=loss)
        if (
            self._patience
            and step < state.max_steps
            and has_stalled(self._kept.points(), self._patience)
        ):
            self.has_stopped_early = control.should_training_stop = True
