"""Supervised fine-tuning by TRL: what the assistant says in the rows is learned, and nothing else of them."""

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from finetune.data.rows import Chat, Conversation
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed
from finetune.tokenizer import load_tokenizer
from finetune.training.adapter import dtype, load_base, lora
from finetune.training.supervision import Supervision


def examples(tokenizer: PreTrainedTokenizerBase, rows: list[Conversation]) -> Dataset:
    """The rows as sequences whose labels are set: the trainer only cuts and packs them."""
    supervision = Supervision(tokenizer)
    return Dataset.from_list(
        [
            example.columns()
            for number, messages in enumerate(rows, 1)
            for example in supervision.of(Chat(number, messages))
            if any(example.learned)
        ]
    )


def _config(spec: FineTuneSpec, folder: Path) -> SFTConfig:
    computed_in = dtype()
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
        seed=spec.seed,
        data_seed=spec.seed,
        bf16=computed_in is torch.bfloat16,
        fp16=computed_in is torch.float16,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        logging_steps=1,
        save_total_limit=2,
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def trainer_of(
    base: Path, spec: FineTuneSpec, folder: Path, rows: list[Conversation], test: list[Conversation]
) -> Any:
    """A trainer over these rows, judged by the others. Raises `StageFailed` when no row is left after cutting."""
    tokenizer = load_tokenizer(base)
    trainer: Any = SFTTrainer(
        model=load_base(base, spec.bits),
        args=_config(spec, folder),
        train_dataset=examples(tokenizer, rows),
        eval_dataset=examples(tokenizer, test) if test else None,
        processing_class=tokenizer,
        peft_config=lora(spec),
    )
    if not len(trainer.train_dataset):
        raise StageFailed("Nothing to learn", "No row is left after cutting. Raise max_length.")
    return trainer
