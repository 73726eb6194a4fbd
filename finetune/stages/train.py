"""Stage `train`: a LoRA adapter by TRL and PEFT, that can be stopped at any step and goes on from there."""

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
from datasets import Dataset
from peft import LoraConfig, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedTokenizerBase
from trl.chat_template_utils import get_training_chat_template
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from finetune.job import stage
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.locks import read_json, write_atomically
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import Cancelled, Interrupted, StageFailed
from finetune.stages.dataset import read_rows
from finetune.tokenizer import load_tokenizer
from finetune.training import preflight
from finetune.training.checkpoints import Checkpoint, newest
from finetune.training.progress import StopWish, Watcher, memory_bytes
from finetune.training.schedule import Schedule, schedule
from finetune.turns import Conversation

MOST_EVALUATED = 200


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


def _quantization(bits: int) -> Any:
    make: Any = BitsAndBytesConfig
    if bits == 8:
        return make(load_in_8bit=True)
    if bits == 16:
        return None
    return make(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=_dtype(),
    )


def load_base(folder: Path, bits: int) -> Any:
    """The base as it is trained: 4 or 8 bits through bitsandbytes, 16 as it is."""
    model: Any = AutoModelForCausalLM.from_pretrained(
        str(folder),
        dtype=_dtype(),
        device_map={"": 0} if torch.cuda.is_available() else "cpu",
        quantization_config=_quantization(bits),
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
    )
    # bitsandbytes 0.50 packs 4-bit weights for inference at the first forward pass in eval mode on a
    # CPU with AVX512_BF16, and packed weights pass no gradient on. To go when a release trains there.
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


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
) -> Any:
    tokenizer = load_tokenizer(base)
    train_set, by_marks = examples(tokenizer, rows)
    trainer: Any = SFTTrainer(
        model=load_base(base, spec.bits),
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
        weights = load_file(checkpoint.path / "adapter_model.safetensors")
        set_peft_model_state_dict(trainer.model, weights)
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
    test = read_rows(data / "eval.jsonl")[:MOST_EVALUATED]
    trainer = _trainer(base, spec, folder.path, read_rows(data / "train.jsonl"), test)
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
    needed = preflight.estimate(model, spec, longest, torch.finfo(_dtype()).bits // 8)
    job.append_event("train", "estimated", parameters=model.parameters, free=free, **asdict(needed))
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
