"""Stage `train`: a LoRA adapter, by a method that can be stopped at any step and goes on from there."""

import json
import logging
import math
import shutil
import signal
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from finetune.data.rows import conversations_of
from finetune.job import stage
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.locks import read_json, write_atomically
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import Cancelled, Interrupted, StageFailed
from finetune.training import preflight, sft
from finetune.training.adapter import dtype, take_weights
from finetune.training.checkpoints import Checkpoint, newest
from finetune.training.progress import StopWish, Watcher, memory_bytes
from finetune.training.schedule import Schedule, schedule

MOST_EVALUATED = 200
TRAINERS = {"sft": sft.trainer_of}
"""For each method of the specification what makes its trainer (`transformers.Trainer` or one of TRL's)."""


def _plan(trainer: Any, spec: FineTuneSpec) -> Schedule:
    """Settle what depends on the number of sequences."""
    plan = schedule(spec, len(trainer.train_dataset))
    trainer.args.gradient_accumulation_steps = plan.gradient_accumulation_steps
    trainer.args.warmup_steps = plan.warmup_steps
    trainer.args.save_steps = plan.checkpoint_steps
    return plan


def _evaluate(trainer: Any) -> float | None:
    """The loss on the held-out rows, None when there are none or nothing of them is left after cutting."""
    return float(trainer.evaluate()["eval_loss"]) if trainer.eval_dataset else None


def _evaluate_before(trainer: Any, folder: Path) -> float | None:
    """The loss of the base; remembered, because a resumed run no longer holds the base."""
    path = folder / "before.json"
    known = read_json(path)
    if isinstance(known, dict):
        return known["eval_loss"]  # type: ignore[no-any-return]
    loss = _evaluate(trainer)
    write_atomically(path, json.dumps({"eval_loss": loss}))
    return loss


def _learn(trainer: Any, job: JobDirectory, wish: StopWish, checkpoint: Checkpoint | None) -> None:
    """Train to the end. Raises `Cancelled` or `Interrupted` once a checkpoint is saved."""
    if checkpoint and checkpoint.is_last:
        # The trainer would take one step more.
        take_weights(trainer.model, checkpoint.path)
        return
    trainer.add_callback(Watcher(job, wish))
    wish.is_training = True
    trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
    wish.is_training = False
    if trainer.state.global_step < trainer.state.max_steps:
        raise Cancelled if job.is_cancel_requested() else Interrupted


def train(wish: StopWish, job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    """dataset/ -> train/adapter/, by way of train/checkpoints/."""
    data = stage.needs(job, "dataset", "train.jsonl", "eval.jsonl")
    base = stage.base_folder(job, spec)
    _look_ahead(job, spec, base, data)
    checkpoint = newest(folder.path / "checkpoints")
    test = conversations_of(data / "eval.jsonl")[:MOST_EVALUATED]
    rows = conversations_of(data / "train.jsonl")
    trainer = TRAINERS[spec.method](base, spec, folder.path, rows, test)
    plan = _plan(trainer, spec)
    job.append_event("train", "plan", **asdict(plan))
    if plan.gradient_accumulation_steps < (spec.gradient_accumulation_steps or 1):
        detail = f"Packing left {plan.sequences} sequences: all of them make one optimiser step."
        job.append_event("train", "warning", kind="one_step", detail=detail)
    before = _evaluate_before(trainer, folder.path)
    _learn(trainer, job, wish, checkpoint)
    after = _evaluate(trainer)
    if after is not None:
        if not math.isfinite(after):
            raise StageFailed(
                "Training went astray",
                "The loss on held-out rows is no number. Start again with a lower learning_rate.",
            )
        job.append_event("train", "evaluated", eval_loss_before=before, eval_loss=after)
    adapter = folder.path / "adapter"
    shutil.rmtree(adapter, ignore_errors=True)
    trainer.model.save_pretrained(str(adapter))
    facts = {
        **asdict(plan),
        "eval_loss_before": before,
        "eval_loss": after,
        "peak_memory_bytes": memory_bytes(),
    }
    folder.mark_done(
        [adapter / "adapter_config.json", adapter / "adapter_model.safetensors"], **facts
    )
    shutil.rmtree(folder.path / "checkpoints", ignore_errors=True)


def _look_ahead(job: JobDirectory, spec: FineTuneSpec, base: Path, data: Path) -> None:
    on_gpu = torch.cuda.is_available()
    free = torch.cuda.mem_get_info()[0] if on_gpu else preflight.available_memory()
    model = preflight.read_base(base)
    longest = int((read_json(data / "done.json") or {}).get("longest", spec.max_length))
    needed = preflight.estimate(model, spec, longest, torch.finfo(dtype()).bits // 8)
    job.append_event(
        "train",
        "estimated",
        device="gpu" if on_gpu else "cpu",
        parameters=model.parameters,
        free=free,
        **asdict(needed),
    )
    for warning in preflight.check(
        job.path, model, needed, device="cuda" if on_gpu else "cpu", device_free=free
    ):
        job.append_event("train", "warning", **warning)


def main(arguments: list[str]) -> int:
    """Run the stage; SIGTERM ends it with a checkpoint."""
    wish = StopWish()

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        del number, frame
        wish.make()

    signal.signal(signal.SIGTERM, on_sigterm)
    # LLM.int8 says at every layer of every step that it casts its input.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    return stage.main("train", partial(train, wish), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
