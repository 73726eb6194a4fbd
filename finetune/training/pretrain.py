"""Continued pre-training by TRL: all of raw texts is learned, in sequences that are as full as they can be.

A text ends with the end token and goes on in the next sequence where it is longer than one. Texts that share a sequence
do not see each other.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from finetune import chat_templates
from finetune.data.rows import Row
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed
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
    """A trainer over these texts, judged by the others. Raises `StageFailed` when they do not make a run."""
    config = settings(spec, folder)
    tokenizer = load_tokenizer(base, spec.chat_template)
    supervision = Supervision(tokenizer)
    most = spec.max_length
    single = stored(folder / "train.arrow", supervision, rows, most, goes_on=True)
    train = packed(single, most) if spec.packs else single
    try:
        require_steps(spec, len(single), len(train))
    except StageFailed:
        if spec.packing or not spec.packs:
            raise
        train = single
        require_steps(spec, len(single), len(single))
    judged = stored(folder / "eval.arrow", supervision, test, most, goes_on=True)
    rows_needed = chat_templates.rows_needed(base, tokenizer, spec.chat_template)
    model = load_base(base, spec, rows_needed)
    if train is not single:
        try:
            require_isolation(model)
        except StageFailed:
            if spec.packing:
                raise
            train = single
    sequences = Sequences(train, judged, train is not single)
    adapter = adapter_for(model, spec, has_new_tokens=rows_needed > 0)
    return trainer_over(model, tokenizer, adapter, config, sequences)
