"""Rows as the trainers read them: a file of token sequences with their labels, and the token that fills them up.

Every trainer is given its tokens ready-made. TRL's own preparation goes through Arrow's types, which put a null for
each argument of a tool that another row's call has.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from datasets import Dataset, Features, Sequence, Value
from datasets.arrow_writer import ArrowWriter
from transformers import PreTrainedTokenizerBase

from finetune.data.rows import Row
from finetune.job.stage import StageFailed
from finetune.training.supervision import IGNORED, Example, Supervision

SPARE = re.compile(r"pad|reserved|unused|extra|dummy", re.IGNORECASE)
COLUMNS = Features({name: Sequence(Value("int32")) for name in ("input_ids", "labels")})


def stored(
    path: Path, supervision: Supervision, rows: Iterable[Row], most: int, *, goes_on: bool = False
) -> Dataset:
    """The sequences of the rows in a file that is read as it is needed, none of more tokens than `most`: what is longer
    goes on in the next one, or is cut. What then holds no token to learn is left out.

    Raises `StageFailed`, naming the row that the template refuses.
    """
    path.unlink(missing_ok=True)
    with ArrowWriter(path=str(path), features=COLUMNS) as writer:
        for row in rows:
            for example in supervised(supervision, row):
                columns = example.columns()
                last = len(example.ids) if goes_on else 1
                for begin in range(0, last, most):
                    part = {name: values[begin : begin + most] for name, values in columns.items()}
                    if any(label != IGNORED for label in part["labels"][1:]):
                        writer.write(part)
        writer.finalize()
    return Dataset.from_file(str(path))


def supervised(supervision: Supervision, row: Row) -> list[Example]:
    """The sequences of one row. Raises `StageFailed`, naming it."""
    try:
        return supervision.of(row)
    except StageFailed as error:
        raise StageFailed(error.title, f"Row {row.number}: {error.detail}") from error


def spare_token(tokenizer: PreTrainedTokenizerBase) -> str:
    """A token to fill up with, never one that ends: the tokenizer's own, else one that nothing else is made of."""
    ends = {tokenizer.eos_token}
    if tokenizer.pad_token is not None and tokenizer.pad_token not in ends:
        return str(tokenizer.pad_token)
    special = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    template = str(tokenizer.chat_template)
    spare = [token for token in special if SPARE.search(token) and token not in template]
    first_two = map(tokenizer.convert_ids_to_tokens, (0, 1))  # the first is the end of some
    others = [tokenizer.unk_token, tokenizer.bos_token, *first_two]
    return next(str(token) for token in [*spare, *others] if token and token not in ends)
