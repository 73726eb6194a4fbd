"""What every trainer is told: the parameters of a run in the words of `transformers.TrainingArguments`."""

from pathlib import Path
from typing import Any

import torch

from finetune.job.spec import TrainingParameters
from finetune.training.adapter import dtype
from finetune.training.extra import of_training


def arguments(parameters: TrainingParameters, folder: Path) -> dict[str, Any]:
    """Named arguments for the configuration of any method; checkpoints go below the folder."""
    computed_in = dtype()
    return {
        "output_dir": str(folder / "checkpoints"),
        "per_device_train_batch_size": parameters.batch_size,
        "per_device_eval_batch_size": parameters.batch_size,
        "num_train_epochs": parameters.epochs,
        "learning_rate": parameters.learning_rate,
        "lr_scheduler_type": "cosine",
        "gradient_checkpointing": parameters.gradient_checkpointing,
        "max_length": parameters.max_length,
        "seed": parameters.seed,
        "data_seed": parameters.seed,
        "bf16": computed_in is torch.bfloat16,
        "fp16": computed_in is torch.float16,
        "use_cpu": not torch.cuda.is_available(),
        "dataloader_pin_memory": torch.cuda.is_available(),
        "logging_steps": 1,
        "save_total_limit": 2,
        "eval_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        **of_training(parameters),
    }
