"""What a job's files are examined with: its tokenizer, its rows, and the model that it trained."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from finetune import chat_templates
from finetune.bases.alike import is_mixture
from finetune.bases.vocabulary import Marks
from finetune.checks.passages import Passage, choose
from finetune.checks.reference import Reference
from finetune.checks.samples import (
    TEXTS,
    Asked,
    asked_in,
    choose_prompts,
    of_all_lengths,
    renderable,
)
from finetune.data.rows import Conversation, Row, Text, read_rows
from finetune.job import stage
from finetune.job.directory import JobDirectory
from finetune.job.spec import FineTuneSpec
from finetune.tokenizer import load_tokenizer, marks_of
from finetune.training.supervision import Supervision

FOLDS = ("test.jsonl", "eval.jsonl", "train.jsonl")
"""Held-out rows first."""
MOST_READ = 2000
TEXT_ROWS = 50


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything that is asked, before any file is opened."""

    base: Path
    trained: Path
    """The adapter, or the whole model."""
    is_whole: bool
    tokenizer: PreTrainedTokenizerBase
    marks: Marks
    texts: list[str]
    conversations: list[Asked]
    prompts: list[Conversation]
    passages: list[Passage]
    is_chat: bool
    is_mixture: bool
    rows_needed: int
    """Of the embedding, where training added tokens; else 0."""

    def reference(self) -> Reference:
        """The model as it was trained."""
        if self.is_whole:
            return Reference(self.trained)
        return Reference(self.base, self.trained, self.rows_needed)


def subject_of(job: JobDirectory, spec: FineTuneSpec) -> Subject:
    """Gather it. Raises `StageFailed` when an earlier stage is not done."""
    data = stage.needs(job, "dataset", "train.jsonl", "eval.jsonl")
    learned = "model" if spec.adapter == "full" else "adapter"
    trained = stage.needs(job, "train", learned) / learned
    base = stage.base_folder(job, spec)
    # The base's tokenizer, not the merged one: what came wrong out of the merge must be seen.
    tokenizer = load_tokenizer(base, spec.chat_template)
    rows: list[Row] = []
    for name in FOLDS:
        if (data / name).is_file():
            rows += islice(read_rows(data / name), MOST_READ)
    asked = asked_in(rows)
    return Subject(
        base=base,
        trained=trained,
        is_whole=spec.adapter == "full",
        tokenizer=tokenizer,
        marks=marks_of(tokenizer, base),
        texts=[*TEXTS, *_texts(rows)],
        conversations=[*of_all_lengths(asked), *renderable(tokenizer)],
        prompts=choose_prompts(tokenizer, asked),
        # Of answers it never learned it is sure of nothing: then what it says itself is compared.
        passages=[] if spec.has_rows_of_ours else choose(Supervision(tokenizer), rows),
        is_chat=bool(asked),
        is_mixture=is_mixture(base),
        rows_needed=chat_templates.rows_needed(base, tokenizer, spec.chat_template),
    )


def _texts(rows: list[Row]) -> list[str]:
    """What stands in the first rows."""
    found: list[Any] = []
    for row in rows[:TEXT_ROWS]:
        if isinstance(row, Text):
            found.append(row.text[:4000])
        else:
            turns = asked_in([row])
            found += [turn.get("content") for one in turns for turn in one.messages]
    return [text for text in found if isinstance(text, str)]
