"""Supervised fine-tuning by TRL: what the assistant says in the rows is learned, or all that stands in them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trl.data_utils import pack_dataset
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from finetune.data.rows import Row
from finetune.job.spec import FineTuneSpec
from finetune.tokenizer import load_tokenizer
from finetune.training.adapter import adapter_for, load_base
from finetune.training.arguments import arguments
from finetune.training.packing import require_isolation
from finetune.training.schedule import require_steps
from finetune.training.sequences import spare_token, stored
from finetune.training.supervision import Supervision


def trainer_of(
    base: Path, spec: FineTuneSpec, folder: Path, rows: Iterable[Row], test: Iterable[Row]
) -> Any:
    """A trainer over these rows, judged by the others. Raises `StageFailed` when they do not make a run."""
    tokenizer = load_tokenizer(base)

    supervision = Supervision(tokenizer, spec.loss)
    train_set = stored(folder / "train.arrow", supervision, rows, spec.max_length)
    count = len(train_set)
    if spec.packing and count:
        train_set = pack_dataset(train_set, spec.max_length, "bfd")
    require_steps(spec, count, len(train_set))
    test_set = stored(folder / "eval.arrow", supervision, test, spec.max_length)
    tokenizer.pad_token = spare_token(tokenizer)
    model = load_base(base, spec)
    if spec.packing:
        require_isolation(model, int(tokenizer.pad_token_id))
    return SFTTrainer(
        model=model,
        args=SFTConfig(
            **arguments(spec, folder),
            packing=spec.packing,
            packing_strategy="bfd",
            eval_packing=False,
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        train_dataset=train_set,
        eval_dataset=test_set if len(test_set) else None,
        processing_class=tokenizer,
        peft_config=adapter_for(model, spec),
    )
