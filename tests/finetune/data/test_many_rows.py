"""A million rows stream: what reading and splitting them leaves in memory is a number a row."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

CELL = "An answer of some length as a handbook has it. " * 8


def peak_of(folder: Path, rows: int) -> int:
    """MiB that it takes to read and split so many rows of CSV."""
    path = folder / f"{rows}.csv"
    with path.open("w") as file:
        file.write("prompt,completion\n")
        file.writelines(f"Question {number}?,{number} {CELL}\n" for number in range(rows))
    out = folder / str(rows)
    out.mkdir()
    started = time.monotonic()
    command = [sys.executable, "-m", "tests.finetune.data.many", str(path), str(out)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    read, peak = map(int, said.split())
    assert read == rows
    sys.stderr.write(f"{rows} rows: {peak} MiB, {time.monotonic() - started:.0f} s\n")
    path.unlink()
    return peak


def test_memory_grows_by_no_more_than_a_number_a_row(tmp_path: Path) -> None:
    few, more = peak_of(tmp_path, 2_000), peak_of(tmp_path, 12_000)
    assert more - few < 4, "a row of 400 characters would be 4 MiB a 10,000"


@pytest.mark.soak
def test_a_million_rows_are_read_and_split_in_bounded_memory(tmp_path: Path) -> None:
    assert peak_of(tmp_path, 1_000_000) < 350
