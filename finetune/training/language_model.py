"""What `sft` and `pretrain` share: a trainer of language models by TRL over sequences that are ready-made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl.data_utils import pack_dataset
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from finetune.job.spec import FineTuneSpec
from finetune.training.arguments import arguments
from finetune.training.extra import configured
from finetune.training.sequences import spare_token


@dataclass(frozen=True, slots=True)
class Sequences:
    """What is learned, and what it is judged by, which is never packed."""

    train: Dataset
    test: Dataset
    packed: bool = False


def packed(sequences: Dataset, most: int) -> Dataset:
    """The sequences put together until they are so many tokens, each whole and with its own positions."""
    return pack_dataset(sequences, most, "bfd") if len(sequences) else sequences


def settings(spec: FineTuneSpec, folder: Path) -> SFTConfig:
    """What the trainer is told; its checkpoints go below the folder. Raises `StageFailed` when `extra` cannot be."""
    told = arguments(spec, folder) | {
        "packing_strategy": "bfd",
        "eval_packing": False,
        "dataset_kwargs": {"skip_prepare_dataset": True},
    }
    return configured(SFTConfig, spec, told)


def trainer_over(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    adapter: Any,
    config: SFTConfig,
    sequences: Sequences,
) -> Any:
    """The trainer of this model over these sequences."""
    tokenizer.pad_token = spare_token(tokenizer)
    config.packing = sequences.packed
    return SFTTrainer(
        model=model,
        args=config,
        train_dataset=sequences.train,
        eval_dataset=sequences.test if len(sequences.test) else None,
        processing_class=tokenizer,
        peft_config=adapter,
    )
