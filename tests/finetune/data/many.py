"""`python -m tests.finetune.data.many FILE FOLDER`: reads and splits a dataset, and prints its rows and the peak in MiB."""

import sys
from pathlib import Path

from finetune.data.folds import split
from finetune.data.reading import open_dataset

if __name__ == "__main__":
    reading = open_dataset(Path(sys.argv[1]))
    rows = (row for _, row in reading.rows())
    counts = split(rows, Path(sys.argv[2]), seed=1)
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) // 1024
    sys.stdout.write(f"{sum(counts.values())} {peak}\n")
