"""Rows of tables in a text: a line like `Name: Anna Berg; Phone: 4711` is one fact, each cell under its own label.

Readers of documents write tables so (`api/documents/reading/tables.py`). Arithmetic alone.
"""

from typing import NamedTuple

from api.rag.numbers import Number, is_stated, numbers
from api.rag.words import content_words


class Cell(NamedTuple):
    """The words of a column's label, and what stands below it."""

    label: frozenset[str]
    words: frozenset[str]
    numbers: tuple[Number, ...]


def cells_of(line: str) -> tuple[Cell, ...]:
    """The cells of a row, none when the line is no row. The first cell may be the row's name, and have no label."""
    if " | " in line:
        return tuple(_cell("", part) for part in line.split(" | "))
    parts = [part.partition(": ") for part in line.split("; ")]
    labelled = [bool(label.strip() and value.strip()) for label, _, value in parts]
    if len(parts) < 2 or not any(labelled[1:]) or sum(labelled) < min(2, len(parts) - 1):
        return ()
    return tuple(
        _cell(label, value) if is_labelled else _cell("", label + colon + value)
        for (label, colon, value), is_labelled in zip(parts, labelled, strict=True)
    )


def is_misplaced(
    number: Number, said: frozenset[str], stated: tuple[Number, ...], row: tuple[Cell, ...]
) -> bool:
    """Whether a statement (its words, its numbers) has a number of the row under another column than the row has it:
    it names that column, whose own value it does not give, and not the number's.
    """
    own = [cell for cell in row if is_stated(number, list(cell.numbers))]
    others = [
        cell for cell in row if cell.label and cell not in own and not _is_given(cell, said, stated)
    ]
    return bool(own) and all(
        any(_is_behind(other.label, cell.label, said) for other in others) for cell in own
    )


def _is_behind(label: frozenset[str], own: frozenset[str], said: frozenset[str]) -> bool:
    """Whether the words that tell two labels apart are those of the first."""
    apart = label - own
    return bool(own) and bool(apart) and apart <= said and not (own - label) & said


def _is_given(cell: Cell, said: frozenset[str], stated: tuple[Number, ...]) -> bool:
    spelled = {word for word in cell.words if not word[0].isdigit()}
    return bool(spelled & said) or any(is_stated(one, list(stated)) for one in cell.numbers)


def _cell(label: str, value: str) -> Cell:
    return Cell(content_words(label), content_words(value), tuple(numbers(value)))
