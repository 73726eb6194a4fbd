"""Which weights the training rows lean on, measured by llama.cpp's own program."""

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from finetune.data.rows import Chat, Text, read_rows
from finetune.job import programs
from finetune.tokenizer import render

MOST_ROWS = 2000
MOST_CHUNKS = 200  # of 512 tokens each; more of them move a matrix no further


def measure(
    model: Path, rows: Path, tokenizer: PreTrainedTokenizerBase, out: Path, threads: int
) -> None:
    """Write the importance matrix of a GGUF over rows as they were learned. Raises `StageFailed`."""
    programs.require_for_importance()
    text = out.with_suffix(".txt")
    try:
        with text.open("w", encoding="utf-8") as file:
            file.writelines(islice(_texts(rows, tokenizer), MOST_ROWS))
        programs.run(
            str(shutil.which("llama-imatrix")),
            [
                *("-m", str(model), "-f", str(text), "-o", str(out)),
                *("--parse-special", "--chunks", str(MOST_CHUNKS), "-t", str(threads)),
            ],
        )
    finally:
        text.unlink(missing_ok=True)


def _texts(rows: Path, tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    for row in read_rows(rows):
        if isinstance(row, Text):
            yield f"{row.text}\n"
        else:
            said = row.messages if isinstance(row, Chat) else [*row.prompt, *row.chosen]
            yield f"{render(tokenizer, said, prompt=False)}\n"
