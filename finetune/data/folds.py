"""The rows of a run come apart: what is learned, what judges a checkpoint, and what judges the result in the end.

Rows stream from file to file; of each one only a number is kept.
"""

import contextlib
import hashlib
import json
import random
from array import array
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from finetune.data.rows import FOLDS, Fold, Row, line_of

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
    fields = {name: value for name, value in asdict(row).items() if name != "number"}
    content = json.dumps(fields, ensure_ascii=True, sort_keys=True).encode()
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


def split(
    rows: Iterable[tuple[Fold, Row]], folder: Path, seed: int, given: Collection[Fold] = ()
) -> dict[Fold, int]:
    """Write `train.jsonl`, `eval.jsonl` and `test.jsonl`; how many rows each has.

    What is `given` elsewhere, or has rows here, is not split off.
    """
    whole = folder / "whole.jsonl"
    prints: "array[int]" = array("Q")
    counts = dict.fromkeys(FOLDS, 0)
    with contextlib.ExitStack() as stack:
        files = {
            fold: stack.enter_context(_written(whole if fold == "train" else path_of(folder, fold)))
            for fold in FOLDS
        }
        for fold, row in rows:
            files[fold].write(line_of(row))
            counts[fold] += 1
            if fold == "train":
                prints.append(print_of(row))
    wanted = held_out(counts, given)
    places = dict(zip(wanted, drawn(prints, seed, *wanted.values()), strict=True))
    _deal(whole, folder, places)
    whole.unlink()
    for fold, count in wanted.items():
        counts[fold] += count
        counts["train"] -= count
    return counts


def held_out(counts: Mapping[Fold, int], given: Collection[Fold] = ()) -> dict[Fold, int]:
    """How many rows are split off for what is not given, of so many for each fold."""
    rows = counts.get("train", 0)
    wanted: dict[Fold, int] = {"eval": held_out_rows(rows), "test": test_rows(rows)}
    return {
        fold: 0 if fold in given or counts.get(fold) else count for fold, count in wanted.items()
    }


def path_of(folder: Path, fold: Fold) -> Path:
    """The file of a fold."""
    return folder / f"{fold}.jsonl"


def _deal(whole: Path, folder: Path, places: Mapping[Fold, set[int]]) -> None:
    """Each line to the file of its fold."""
    with contextlib.ExitStack() as stack:
        lines = stack.enter_context(whole.open(encoding="utf-8", newline="\n"))
        train = stack.enter_context(_written(path_of(folder, "train")))
        others = [
            (taken, stack.enter_context(path_of(folder, fold).open("a", encoding="utf-8", newline="\n")))
            for fold, taken in places.items()
        ]
        for place, line in enumerate(lines):
            target = next((file for taken, file in others if place in taken), train)
            target.write(line)


def _written(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="\n")
