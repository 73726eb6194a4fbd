"""What the model will be trained on, row by row, at token level: finds what quietly spoils a run."""

from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedTokenizerBase

from finetune.data.rows import Chat, Conversation
from finetune.job.stage import StageFailed
from finetune.tokenizer import ids, render

NAMED_ROWS = 20


@dataclass(slots=True)
class Findings:
    """Warnings as the fields of an event, and figures of the training rows."""

    tokens: int = 0
    longest: int = 0
    unlearnable: set[int] = field(default_factory=set)
    warnings: list[dict[str, Any]] = field(default_factory=list)

    def warn(self, kind: str, rows: list[int], detail: str) -> None:
        """Add a warning when there are such rows."""
        if rows:
            named = ", ".join(str(row) for row in rows[:NAMED_ROWS])
            more = f" and {len(rows) - NAMED_ROWS} more" if len(rows) > NAMED_ROWS else ""
            self.warnings.append(
                {
                    "kind": kind,
                    "rows": rows[:NAMED_ROWS],
                    "count": len(rows),
                    "detail": f"{detail} Rows: {named}{more}.",
                }
            )


def findings(
    tokenizer: PreTrainedTokenizerBase, train: list[Chat], test: list[Chat], max_length: int
) -> Findings:
    """Look at all rows. Raises `StageFailed` when the chat template refuses one."""
    found = Findings()
    cut: list[int] = []
    for row in train:
        length = _length(tokenizer, row, row.messages)
        found.tokens += min(length, max_length)
        found.longest = max(found.longest, length)
        if length > max_length:
            cut.append(row.number)
            if _length(tokenizer, row, _before_first_answer(row.messages)) >= max_length:
                found.unlearnable.add(row.number)
    for row in test:
        _length(tokenizer, row, row.messages)
    found.warn(
        "cut", cut, f"Longer than max_length={max_length} tokens: their ends are not learned."
    )
    found.warn(
        "nothing_to_learn",
        sorted(found.unlearnable),
        f"The prompt alone fills max_length={max_length} tokens: left out.",
    )
    found.warn("duplicate", _duplicates(train), "The same conversation more than once.")
    known = {key(row) for row in train}
    found.warn(
        "overlap",
        [row.number for row in test if key(row) in known],
        "Evaluation rows that are trained on too: the evaluation flatters.",
    )
    marks = [token for token in tokenizer.all_special_tokens if token]
    found.warn(
        "marks",
        [row.number for row in train if _holds(row, marks)],
        f"The text holds marks of the chat template ({', '.join(marks)}), which are read as such.",
    )
    trailing = [row.number for row in train if row.messages[-1]["role"] != "assistant"]
    found.warn("trailing", trailing, "Turns after the last assistant turn are not learned.")
    return found


def _length(tokenizer: PreTrainedTokenizerBase, row: Chat, messages: Conversation) -> int:
    try:
        return len(ids(tokenizer, render(tokenizer, messages, prompt=False)))
    except StageFailed as error:
        raise StageFailed(error.title, f"Row {row.number}: {error.detail}") from error


def _before_first_answer(messages: Conversation) -> Conversation:
    first = next(place for place, turn in enumerate(messages) if turn["role"] == "assistant")
    return messages[:first] or messages[:1]


def key(row: Chat) -> tuple[tuple[str, str], ...]:
    """Equal for equal conversations."""
    return tuple((turn["role"], turn["content"]) for turn in row.messages)


def _holds(row: Chat, marks: list[str]) -> bool:
    return any(mark in turn["content"] for turn in row.messages for mark in marks)


def _duplicates(rows: list[Chat]) -> list[int]:
    """Rows that repeat an earlier one."""
    seen = set()
    repeated = []
    for row in rows:
        if key(row) in seen:
            repeated.append(row.number)
        seen.add(key(row))
    return repeated
