"""Stage `train`: an adapter or all weights, by a method that can be stopped at any step and goes on from there."""

import gc
import json
import logging
import math
import shutil
import signal
import sys
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from transformers.trainer_utils import IntervalStrategy

from finetune import chat_templates
from finetune.data.rows import read_rows
from finetune.job import stage
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.files import read_json, write_atomically
from finetune.job.kept import LEARNED, Kept
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import Cancelled, Interrupted, StageFailed
from finetune.tokenizer import load_tokenizer
from finetune.training import dpo, pretrain, sft, trackers
from finetune.training.adapter import without_cards
from finetune.training.checkpoints import Checkpoint, newest
from finetune.training.leaving import adapter, whole_model
from finetune.training.narrower import halve, narrowed
from finetune.training.outlook import look_ahead
from finetune.training.progress import StopWish, Watcher, memory_bytes
from finetune.training.schedule import Schedule, schedule

MOST_EVALUATED = 200
TRAINERS = {"sft": sft.trainer_of, "pretrain": pretrain.trainer_of, "dpo": dpo.trainer_of}
"""For each method of the specification what makes its trainer (`transformers.Trainer` or one of TRL's)."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training and where it leaves what."""

    wish: StopWish
    job: JobDirectory
    spec: FineTuneSpec
    folder: StageDirectory
    kept: Kept


def _plan(trainer: Any, spec: FineTuneSpec) -> Schedule:
    """Settle what depends on the number of sequences."""
    plan = schedule(spec, len(trainer.train_dataset))
    trainer.args.gradient_accumulation_steps = plan.gradient_accumulation_steps
    trainer.args.warmup_steps = plan.warmup_steps
    trainer.args.save_steps = plan.checkpoint_steps
    if trainer.eval_dataset:
        trainer.args.eval_strategy = IntervalStrategy.STEPS
        trainer.args.eval_steps = plan.checkpoint_steps
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


def _learn(trainer: Any, run: Run, checkpoint: Checkpoint | None) -> bool:
    """Train to the end; whether that came early. Raises `Cancelled` or `Interrupted` once a checkpoint is saved."""
    if checkpoint and checkpoint.is_last:
        return False
    watcher = Watcher(run.job, run.wish, run.kept, run.spec.early_stopping)
    trainer.add_callback(watcher)
    for tracker in trackers.callbacks(run.job, run.folder.path):
        trainer.add_callback(tracker)
    run.wish.is_training = True
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
    finally:
        run.wish.is_training = False
    if trainer.state.global_step < trainer.state.max_steps and not watcher.has_stopped_early:
        raise Cancelled if run.job.is_cancel_requested() else Interrupted
    return watcher.has_stopped_early


def train(wish: StopWish, job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    """dataset/ -> train/adapter/, by way of train/checkpoints/ and train/kept/."""
    data = stage.needs(job, "dataset", "train.jsonl", "eval.jsonl")
    base = stage.base_folder(job, spec)
    learned = folder.path / LEARNED
    if not learned.is_file():
        look_ahead(job, spec, base, data)
        run = Run(wish, job, spec, folder, Kept(folder.path))
        try:
            write_atomically(learned, json.dumps(_learned(run, base, data)))
        except Exception:
            newest(folder.path / "checkpoints")  # a torn one goes: it would keep a full disk full
            raise
    shutil.rmtree(folder.path / "checkpoints", ignore_errors=True)
    for sequences in folder.path.glob("*.arrow"):
        sequences.unlink()
    _choose(job, spec, folder, json.loads(learned.read_text("utf-8")))


def _learned(run: Run, base: Path, data: Path) -> dict[str, Any]:
    """Train; what is known of it afterwards. Out of GPU memory once, it goes on with half the batch."""
    try:
        return _trained(run, base, data)
    except torch.OutOfMemoryError as error:
        narrower = halve(run.job, run.folder.path, run.spec, str(error))
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return _trained(replace(run, spec=narrower), base, data)


def _trained(run: Run, base: Path, data: Path) -> dict[str, Any]:
    job, folder = run.job, run.folder.path
    spec = narrowed(folder, run.spec)
    checkpoint = newest(folder / "checkpoints")
    if checkpoint:
        keep_too(run.kept, checkpoint)
    test = list(islice(read_rows(data / "eval.jsonl"), MOST_EVALUATED))
    if spec.early_stopping and not test:
        raise StageFailed(
            "Nothing to stop by",
            "early_stopping needs held-out rows, and there are none. Give an eval_dataset, or leave it out.",
        )
    rows = read_rows(data / "train.jsonl")
    trainer = TRAINERS[spec.method](base, spec, folder, rows, test)
    without_cards(trainer)
    plan = _plan(trainer, spec)
    job.append_event("train", "plan", **asdict(plan))
    before = _evaluate_before(trainer, folder)
    stopped_early = _learn(trainer, run, checkpoint)
    return {
        **asdict(plan),
        "batch_size": spec.batch_size,
        "eval_loss_before": before,
        "stopped_early": stopped_early,
        "peak_memory_bytes": memory_bytes(),
    }


def keep_too(kept: Kept, checkpoint: Checkpoint) -> None:
    """Keep a checkpoint too that was saved by a process which was killed before it had kept the weights."""
    if all(point.step != checkpoint.step for point in kept.there()):
        state = read_json(checkpoint.path / "trainer_state.json") or {}
        losses = [
            entry["eval_loss"]
            for entry in state.get("log_history", [])
            if entry.get("step") == checkpoint.step
            and math.isfinite(entry.get("eval_loss", math.nan))
        ]
        kept.add(checkpoint.step, losses[0] if losses else None, checkpoint.path)


def _choose(
    job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory, facts: dict[str, Any]
) -> None:
    """Take the weights of the checkpoint that is asked for."""
    point, weights = Kept(folder.path).chosen(spec.checkpoint)
    if facts["eval_loss_before"] is not None:
        if point.eval_loss is None and spec.checkpoint == "best":
            raise StageFailed(
                "Training went astray",
                "The loss on held-out rows is no number. Start again with a lower learning_rate.",
            )
        job.append_event(
            "train",
            "evaluated",
            eval_loss_before=facts["eval_loss_before"],
            eval_loss=point.eval_loss,
            step=point.step,
        )
    whole = spec.adapter == "full"
    files = (whole_model if whole else adapter)(weights, folder.path)
    if spec.chat_template is not None:
        base = stage.base_folder(job, spec)
        tokenizer = load_tokenizer(base, spec.chat_template)
        files += chat_templates.leave(
            base, tokenizer, spec.chat_template, folder.path / "tokenizer"
        )
    folder.mark_done(files, **facts, eval_loss=point.eval_loss, checkpoint=point.step)


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
