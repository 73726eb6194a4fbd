"""Supervised fine-tuning by TRL: what the assistant says in the rows is learned, and nothing else of them."""

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl.chat_template_utils import get_training_chat_template
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from finetune.data.rows import Conversation
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed
from finetune.tokenizer import load_tokenizer
from finetune.training.adapter import dtype, load_base, lora


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


def _config(spec: FineTuneSpec, folder: Path, by_marks: bool) -> SFTConfig:
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
        assistant_only_loss=by_marks,
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
    train_set, by_marks = examples(tokenizer, rows)
    trainer: Any = SFTTrainer(
        model=load_base(base, spec.bits),
        args=_config(spec, folder, by_marks),
        train_dataset=train_set,
        eval_dataset=examples(tokenizer, test)[0] if test else None,
        processing_class=tokenizer,
        peft_config=lora(spec),
    )
    if not len(trainer.train_dataset):
        raise StageFailed("Nothing to learn", "No row is left after cutting. Raise max_length.")
    return trainer
