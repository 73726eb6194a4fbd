"""The rows of a run come apart: what is learned, what judges a checkpoint, and what judges the result in the end.

Rows stream from file to file; of each one only a number is kept.
"""

import contextlib
import random
from array import array
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from finetune.data.rows import Fold, Row, line_of
from finetune.lint.turns import key

ENOUGH_TO_JUDGE = 10
ENOUGH_TO_TEST = 100
SHARE = 0.05
MOST_HELD_OUT = 50


def held_out_rows(rows: int) -> int:
    """How many rows are kept out of training to judge it, when no evaluation rows are given: none of a few."""
    return 0 if rows < ENOUGH_TO_JUDGE else min(MOST_HELD_OUT, max(1, round(rows * SHARE)))


def test_rows(rows: int) -> int:
    """How many rows are kept out for the end, when no test rows are given: none of fewer than a hundred."""
    return 0 if rows < ENOUGH_TO_TEST else held_out_rows(rows)


def held_out(counts: Mapping[Fold, int], once: int) -> dict[Fold, int]:
    """How many rows are split off those to learn, for each other fold that has none; `once` of them occur once.

    A row that occurs more than once stays in training: a held-out copy tells nothing.
    """
    rows = counts.get("train", 0)
    wanted: dict[Fold, int] = {"eval": held_out_rows(rows), "test": test_rows(rows)}
    for fold, count in wanted.items():
        wanted[fold] = 0 if counts.get(fold) else min(count, once)
        once -= wanted[fold]
    return wanted


class Prints:
    """A number for each row, which rows of the same content share."""

    def __init__(self) -> None:
        self._prints = array("Q")

    def add(self, row: Row) -> None:
        """The next row."""
        self._prints.append(key(row))

    def once(self) -> list[int]:
        """The places of the rows that occur once."""
        ordered = sorted(self._prints)
        pairs = zip(ordered, ordered[1:], strict=False)
        repeated = {one for one, other in pairs if one == other}
        return [place for place, one in enumerate(self._prints) if one not in repeated]


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows each fold has, and how many of those to learn occur once."""

    counts: dict[Fold, int]
    once: int


def write_folds(rows: Iterable[tuple[Fold, Row]], paths: Mapping[Fold, Path]) -> Written:
    """Write the rows of each fold to its file, where it has rows."""
    counts: dict[Fold, int] = {}
    prints = Prints()
    with contextlib.ExitStack() as stack:
        files: dict[Fold, TextIO] = {}
        for fold, row in rows:
            if fold not in files:
                files[fold] = stack.enter_context(_written(paths[fold]))
            files[fold].write(line_of(row))
            counts[fold] = counts.get(fold, 0) + 1
            if fold == "train":
                prints.add(row)
    return Written(counts, len(prints.once()))


def split(
    rows: Iterable[Row], folder: Path, seed: int, given: Collection[Fold] = ()
) -> dict[Fold, int]:
    """Write `train.jsonl`, and `eval.jsonl` and `test.jsonl` unless they are given; how many rows each has.

    The same rows are split off for the same seed.
    """
    whole = folder / "whole.jsonl"
    prints = Prints()
    count = 0
    with _written(whole) as file:
        for row in rows:
            file.write(line_of(row))
            prints.add(row)
            count += 1
    once = prints.once()
    known: dict[Fold, int] = {"train": count, **dict.fromkeys(given, 1)}
    wanted = {fold: n for fold, n in held_out(known, len(once)).items() if fold not in given}
    drawn = iter(random.Random(seed).sample(once, sum(wanted.values())))  # noqa: S311  no secret
    places = {fold: {next(drawn) for _ in range(n)} for fold, n in wanted.items()}
    _deal(whole, folder, places)
    whole.unlink()
    return {"train": count - sum(wanted.values()), **wanted}


def path_of(folder: Path, fold: Fold) -> Path:
    """The file of a fold."""
    return folder / f"{fold}.jsonl"


def _deal(whole: Path, folder: Path, places: Mapping[Fold, set[int]]) -> None:
    """Each line to the file of its fold."""
    with contextlib.ExitStack() as stack:
        lines = stack.enter_context(whole.open(encoding="utf-8", newline="\n"))
        train = stack.enter_context(_written(path_of(folder, "train")))
        others = [
            (taken, stack.enter_context(_written(path_of(folder, fold))))
            for fold, taken in places.items()
        ]
        for place, line in enumerate(lines):
            target = next((file for taken, file in others if place in taken), train)
            target.write(line)


def _written(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="\n")
