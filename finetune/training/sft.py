"""Supervised fine-tuning by TRL: what the assistant says in the rows is learned, or all that stands in them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from finetune import chat_templates
from finetune.data.rows import Row
from finetune.job.spec import FineTuneSpec
from finetune.tokenizer import load_tokenizer
from finetune.training.adapter import adapter_for, load_base
from finetune.training.language_model import Sequences, packed, settings, trainer_over
from finetune.training.packing import require_isolation
from finetune.training.schedule import require_steps
from finetune.training.sequences import stored
from finetune.training.supervision import Supervision


def trainer_of(
    base: Path, spec: FineTuneSpec, folder: Path, rows: Iterable[Row], test: Iterable[Row]
) -> Any:
    """A trainer over these rows, judged by the others. Raises `StageFailed` when they do not make a run."""
    config = settings(spec, folder)
    tokenizer = load_tokenizer(base, spec.chat_template)
    supervision = Supervision(tokenizer, spec.loss)
    single = stored(folder / "train.arrow", supervision, rows, spec.max_length)
    train = packed(single, spec.max_length) if spec.packs else single
    require_steps(spec, len(single), len(train))
    judged = stored(folder / "eval.arrow", supervision, test, spec.max_length)
    rows_needed = chat_templates.rows_needed(base, tokenizer, spec.chat_template)
    model = load_base(base, spec, rows_needed)
    if spec.packs:
        require_isolation(model)
    adapter = adapter_for(model, spec, has_new_tokens=rows_needed > 0)
    return trainer_over(model, tokenizer, adapter, config, Sequences(train, judged, spec.packs))
