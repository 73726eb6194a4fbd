"""Stage `train`: a LoRA adapter by TRL and PEFT, that can be stopped at any step and goes on from there."""

import json
import logging
import math
import shutil
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer
from trl.chat_template_utils import get_training_chat_template

from finetune import preflight, progress, stage
from finetune.csv_rows import Conversation
from finetune.dataset import read_rows
from finetune.spec import FineTuneSpec
from finetune.stage import Cancelled, Interrupted, StageFailed
from finetune.tokenizer import load_tokenizer
from finetune.workspace import JobDirectory, StageDirectory, read_json, write_atomically

LEAST_STEPS = 30
MOST_ACCUMULATION = 50
MOST_EVALUATED = 200
CHECKPOINT_FILES = ("adapter_model.safetensors", "optimizer.pt", "scheduler.pt")


def accumulation(asked: int | None, batches: int) -> int:
    """Batches an optimiser step: as asked, or so that 30 steps remain. Raises `StageFailed`."""
    if asked is None:
        return max(1, min(MOST_ACCUMULATION, batches // LEAST_STEPS))
    if batches < asked:
        raise StageFailed(
            "Not one optimiser step",
            f"gradient_accumulation_steps={asked} needs {asked} batches a step, the data gives {batches} "
            f"in all. Use at most {batches}, more epochs or rows, or leave it empty.",
        )
    return asked


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; torn ones are deleted."""
    whole: list[tuple[int, Path]] = []
    for path in folder.glob("checkpoint-*"):
        state = read_json(path / "trainer_state.json")
        if isinstance(state, dict) and all((path / name).is_file() for name in CHECKPOINT_FILES):
            whole.append((int(state["global_step"]), path))
        else:
            shutil.rmtree(path)
    return max(whole)[1] if whole else None


def examples(tokenizer: PreTrainedTokenizerBase, rows: list[Conversation]) -> tuple[Dataset, bool]:
    """The rows in the form in which only assistant turns are learned, and whether it is by marks."""
    try:
        get_training_chat_template(tokenizer)
    except ValueError:
        pairs = [
            {"prompt": row[:place], "completion": [turn]}
            for row in rows
            for place, turn in enumerate(row)
            if turn["role"] == "assistant" and place > 0
        ]
        return Dataset.from_list(pairs), False
    return Dataset.from_list([{"messages": row} for row in rows]), True


def _dtype() -> torch.dtype:
    if not torch.cuda.is_available():
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _load_base(folder: Path, bits: int) -> Any:
    dtype = _dtype()
    quantization = {
        4: BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        ),
        8: BitsAndBytesConfig(load_in_8bit=True),
        16: None,
    }[bits]
    return AutoModelForCausalLM.from_pretrained(
        str(folder),
        dtype=dtype,
        device_map={"": 0} if torch.cuda.is_available() else "cpu",
        quantization_config=quantization,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
    )


def _config(spec: FineTuneSpec, folder: Path, by_marks: bool) -> SFTConfig:
    dtype = _dtype()
    return SFTConfig(
        output_dir=str(folder / "checkpoints"),
        per_device_train_batch_size=spec.batch_size,
        per_device_eval_batch_size=spec.batch_size,
        num_train_epochs=spec.epochs,
        learning_rate=spec.learning_rate,
        lr_scheduler_type="cosine",
        gradient_checkpointing=spec.gradient_checkpointing,
        packing=spec.packing,
        packing_strategy="bfd",
        eval_packing=False,
        max_length=spec.max_length,
        assistant_only_loss=by_marks,
        seed=spec.seed,
        data_seed=spec.seed,
        bf16=dtype is torch.bfloat16,
        fp16=dtype is torch.float16,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        logging_steps=1,
        save_total_limit=2,
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def _trainer(
    base: Path, spec: FineTuneSpec, folder: Path, rows: list[Conversation], test: list[Conversation]
) -> SFTTrainer:
    tokenizer = load_tokenizer(base)
    train_set, by_marks = examples(tokenizer, rows)
    trainer = SFTTrainer(
        model=_load_base(base, spec.bits),
        args=_config(spec, folder, by_marks),
        train_dataset=train_set,
        eval_dataset=examples(tokenizer, test)[0] if test else None,
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=spec.rank,
            lora_alpha=spec.lora_alpha,
            lora_dropout=spec.lora_dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )
    if not len(trainer.train_dataset):
        raise StageFailed("Nothing to learn", "No row is left after cutting. Raise max_length.")
    return trainer


def _plan(trainer: SFTTrainer, spec: FineTuneSpec) -> dict[str, Any]:
    """Settle what depends on the number of sequences; the figures of the run."""
    sequences = len(trainer.train_dataset)
    batches = math.ceil(sequences / spec.batch_size)
    steps_of = accumulation(spec.gradient_accumulation_steps, int(batches * spec.epochs))
    steps = max(1, math.ceil(math.ceil(batches / steps_of) * spec.epochs))
    trainer.args.gradient_accumulation_steps = steps_of
    trainer.args.warmup_steps = round(spec.warmup_ratio * steps)
    trainer.args.save_steps = spec.checkpoint_steps or max(1, steps // 10)
    trainable = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    return {
        "sequences": sequences,
        "gradient_accumulation_steps": steps_of,
        "steps": steps,
        "trainable_parameters": trainable,
    }


def _evaluate(trainer: SFTTrainer) -> float | None:
    return float(trainer.evaluate()["eval_loss"]) if trainer.eval_dataset is not None else None


def _evaluate_before(trainer: SFTTrainer, folder: Path) -> float | None:
    """The loss of the base; remembered, because a resumed run no longer holds the base."""
    path = folder / "before.json"
    known = read_json(path)
    if isinstance(known, dict):
        return known["eval_loss"]  # type: ignore[no-any-return]
    loss = _evaluate(trainer)
    write_atomically(path, json.dumps({"eval_loss": loss}))
    return loss


def _learn(trainer: SFTTrainer, watcher: progress.Watcher, checkpoint: Path | None) -> None:
    """Train to the end. Raises `Cancelled` or `Interrupted` once a checkpoint is saved."""
    state = read_json(checkpoint / "trainer_state.json") if checkpoint else None
    if checkpoint and state and state["global_step"] >= state["max_steps"]:
        # The trainer would take one step more.
        set_peft_model_state_dict(
            trainer.model, load_file(checkpoint / "adapter_model.safetensors")
        )
        return
    watcher.is_training = True
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    watcher.is_training = False
    if trainer.state.global_step < trainer.state.max_steps:
        raise Cancelled if watcher.job.is_cancel_requested() else Interrupted


def train(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    """dataset/ -> train/adapter/, by way of train/checkpoints/."""
    data = stage.needs(job, "dataset", "train.jsonl", "eval.jsonl")
    base = stage.base_folder(job, spec)
    watcher = progress.Watcher(job)

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        del number, frame
        watcher.stop()

    signal.signal(signal.SIGTERM, on_sigterm)
    _look_ahead(job, spec, base, data)
    checkpoint = newest_checkpoint(folder.path / "checkpoints")
    test = read_rows(data / "eval.jsonl")[:MOST_EVALUATED]
    trainer = _trainer(base, spec, folder.path, read_rows(data / "train.jsonl"), test)
    plan = _plan(trainer, spec)
    job.append_event("train", "plan", **plan)
    before = _evaluate_before(trainer, folder.path)
    trainer.add_callback(watcher)
    _learn(trainer, watcher, checkpoint)
    after = _evaluate(trainer)
    if after is not None:
        job.append_event("train", "evaluated", eval_loss_before=before, eval_loss=after)
    adapter = folder.path / "adapter"
    shutil.rmtree(adapter, ignore_errors=True)
    trainer.model.save_pretrained(str(adapter))
    facts = {
        **plan,
        "eval_loss_before": before,
        "eval_loss": after,
        "peak_memory_bytes": progress.memory_bytes(),
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
    needed = preflight.estimate(model, spec, longest, torch.finfo(_dtype()).bits // 8)
    job.append_event("train", "estimated", parameters=model.parameters, free=free, **asdict(needed))
    for warning in preflight.check(
        job.path, model, needed, device="cuda" if on_gpu else "cpu", device_free=free
    ):
        job.append_event("train", "warning", **warning)


def main(arguments: list[str]) -> int:
    """Run the stage; LLM.int8 would say at every layer of every step that it casts its input."""
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    return stage.main("train", train, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
