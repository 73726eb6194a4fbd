"""The rows of a run come apart: what is learned, what judges a checkpoint, and what judges the result in the end.

Rows stream from file to file; of each one only a number is kept.
"""

import contextlib
import hashlib
import random
from array import array
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from finetune.data.rows import Fold, Row, line_of

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


def print_of(row: Row) -> int:
    """A number that rows of the same content share."""
    content = line_of(replace(row, number=0)).encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())


def drawn(prints: "array[int]", seed: int, *counts: int) -> list[set[int]]:
    """So many places each, no place twice, the same ones for the same seed.

    Rows that occur more than once stay in training while there are others: a held-out copy tells nothing.
    """
    repeated = _repeated(prints)
    alone = [place for place, one in enumerate(prints) if one not in repeated]
    total = sum(counts)
    pool = alone if len(alone) >= total else list(range(len(prints)))
    places = iter(random.Random(seed).sample(pool, total))  # noqa: S311  no secret
    return [{next(places) for _ in range(count)} for count in counts]


def _repeated(prints: "array[int]") -> set[int]:
    ordered = sorted(prints)
    return {one for one, other in zip(ordered, ordered[1:], strict=False) if one == other}


def write_folds(rows: Iterable[tuple[Fold, Row]], paths: Mapping[Fold, Path]) -> dict[Fold, int]:
    """Write the rows of each fold to its file, where it has rows; how many there were."""
    counts: dict[Fold, int] = {}
    with contextlib.ExitStack() as stack:
        files: dict[Fold, TextIO] = {}
        for fold, row in rows:
            if fold not in files:
                files[fold] = stack.enter_context(_written(paths[fold]))
            files[fold].write(line_of(row))
            counts[fold] = counts.get(fold, 0) + 1
    return counts


def split(
    rows: Iterable[Row], folder: Path, seed: int, given: Collection[Fold] = ()
) -> dict[Fold, int]:
    """Write `train.jsonl`, and `eval.jsonl` and `test.jsonl` unless they are given; how many rows each has."""
    whole = folder / "whole.jsonl"
    prints: array[int] = array("Q")
    with _written(whole) as file:
        for row in rows:
            file.write(line_of(row))
            prints.append(print_of(row))
    wanted = {
        fold: count
        for fold, count in held_out({"train": len(prints)}).items()
        if fold not in given
    }
    places = dict(zip(wanted, drawn(prints, seed, *wanted.values()), strict=True))
    _deal(whole, folder, places)
    whole.unlink()
    return {"train": len(prints) - sum(wanted.values()), **wanted}


def held_out(counts: Mapping[Fold, int]) -> dict[Fold, int]:
    """How many rows are split off those to learn, for each other fold that has none."""
    rows = counts.get("train", 0)
    wanted: dict[Fold, int] = {"eval": held_out_rows(rows), "test": test_rows(rows)}
    return {fold: 0 if counts.get(fold) else count for fold, count in wanted.items()}


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
