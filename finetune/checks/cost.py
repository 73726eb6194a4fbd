"""What examining a job's files will take, said before it begins."""

import time
from typing import Any

import torch

from finetune.checks.subject import Subject
from finetune.preflight.base import read_base

TRIED = 1024
"""Width of the square matrices whose product tells how fast this machine computes."""
UNPACKED_A_SECOND = 70e6
"""Weights that one core unpacks and compares."""
A_FILE = 1.0
"""Seconds that a file costs whatever its size: it is loaded twice, asked, and its vocabulary is read."""
READ_A_SECOND = 1e9
"""Bytes that come from a disk or the memory before it."""


def estimate(subject: Subject, quantized: int) -> dict[str, Any]:
    """Seconds, and bytes held beside what the system keeps of files."""
    base = read_base(subject.base)
    on_gpu = torch.cuda.is_available()
    tokens = sum(len(passage.tokens) for passage in subject.passages) or 1
    work = 2.0 * base.parameters * tokens
    reference = work / _speed("cuda" if on_gpu else "cpu") + 3 * base.bytes / READ_A_SECOND
    each = A_FILE + work / _speed("cpu") + base.bytes / READ_A_SECOND
    weights = quantized * base.parameters / UNPACKED_A_SECOND
    layer = max(base.parameters / max(base.layers, 1), base.vocabulary * base.hidden)
    return {
        "seconds": round(reference + (1 + quantized) * each + weights),
        "memory": int(4 * layer + base.parameters * 2),
        "tokens": tokens,
    }


def _speed(device: str) -> float:
    """Operations a second."""
    matrix = torch.ones((TRIED, TRIED), device=device)
    once = matrix @ matrix
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(4):
        once = matrix @ matrix
    float(once[0, 0])
    return 4 * 2.0 * TRIED**3 / (time.perf_counter() - started)
