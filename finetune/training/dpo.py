"""Direct preference optimisation by TRL: of two answers to a prompt the wanted one becomes the likelier.

What it was like before is asked of the base, with the adapter switched off: there is no second model in memory.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Sequence, Value
from datasets.arrow_writer import ArrowWriter
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from finetune import chat_templates
from finetune.data.rows import Preference, Row
from finetune.job.spec import FineTuneSpec
from finetune.tokenizer import load_tokenizer
from finetune.training.adapter import adapter_for, load_base
from finetune.training.arguments import arguments
from finetune.training.extra import configured
from finetune.training.schedule import require_steps
from finetune.training.sequences import spare_token, supervised
from finetune.training.supervision import Supervision

PAIR = ("prompt_ids", "chosen_ids", "rejected_ids")
COLUMNS = Features({name: Sequence(Value("int32")) for name in PAIR})
PLACEHOLDER = {"prompt": "a", "chosen": "b", "rejected": "c"}


def pairs(path: Path, supervision: Supervision, rows: Iterable[Row], most: int) -> Dataset:
    """Prompts with both answers as tokens, in a file; left out where the prompt alone has so many tokens.

    Raises `StageFailed`, naming the row that the template refuses.
    """
    path.unlink(missing_ok=True)
    with ArrowWriter(path=str(path), features=COLUMNS) as writer:
        for row in rows:
            if isinstance(row, Preference):
                chosen, rejected = supervised(supervision, row)
                length = min(chosen.learned.index(True), rejected.learned.index(True))
                if length < most:
                    parts = (chosen.ids[:length], chosen.ids[length:], rejected.ids[length:])
                    writer.write(dict(zip(PAIR, parts, strict=True)))
        writer.finalize()
    return Dataset.from_file(str(path))


def trainer_of(
    base: Path, spec: FineTuneSpec, folder: Path, rows: Iterable[Row], test: Iterable[Row]
) -> Any:
    """A trainer over these preferences, judged by the others. Raises `StageFailed` when they do not make a run."""
    config = configured(DPOConfig, spec, arguments(spec, folder))
    tokenizer = load_tokenizer(base, spec.chat_template)
    supervision = Supervision(tokenizer)
    train = pairs(folder / "train.arrow", supervision, rows, spec.max_length)
    require_steps(spec, len(train), len(train))
    judged = pairs(folder / "eval.arrow", supervision, test, spec.max_length)
    tokenizer.pad_token = spare_token(tokenizer)
    rows_needed = chat_templates.rows_needed(base, tokenizer, spec.chat_template)
    model = load_base(base, spec, rows_needed)
    # Its own preparation takes no tokens that are ready-made, so it is given one row, and then the rest.
    trainer: Any = DPOTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list([PLACEHOLDER]),
        processing_class=tokenizer,
        peft_config=adapter_for(model, spec, has_new_tokens=rows_needed > 0),
    )
    trainer.train_dataset = train
    trainer.eval_dataset = judged if len(judged) else None
    return trainer
