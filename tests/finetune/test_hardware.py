"""What a machine has to train with is measured, written beside the jobs by workers, and read there."""

import os
import time
from dataclasses import replace
from pathlib import Path

import psutil

from finetune.job.device import Gpu
from finetune.job.hardware import measure
from finetune.job.workers import (
    SILENT_SECONDS,
    report_hardware,
    report_worker,
    worker_hardware,
    workers,
)
from finetune.worker import Worker


def test_a_machine_is_measured_as_it_is(tmp_path: Path) -> None:
    found = measure(tmp_path, None)
    assert found.device == "cpu"
    assert found.ram <= psutil.virtual_memory().total
    assert 0 < found.ram_free <= found.ram
    assert found.disk_free > 0
    assert 1 <= found.threads <= found.cores
    assert found.memory == found.ram


def test_with_a_gpu_its_memory_is_what_a_run_has(tmp_path: Path) -> None:
    found = measure(tmp_path, Gpu("Tester 3000", 2**34))
    assert (found.device, found.gpu, found.memory) == ("gpu", "Tester 3000", 2**34)
    assert "Tester 3000" in found.kind


def test_a_worker_writes_what_it_has_and_that_stays_when_it_ends(tmp_path: Path) -> None:
    Worker(tmp_path, name="gpu0", gpu=Gpu("Tester 3000", 2**34)).run(until_idle=True)
    assert workers(tmp_path) == {}
    found = worker_hardware(tmp_path)
    assert found is not None
    assert found.gpu == "Tester 3000"


def test_the_worker_that_lives_counts_and_among_them_the_roomiest(tmp_path: Path) -> None:
    assert worker_hardware(tmp_path) is None
    cpu = measure(tmp_path, None)
    for name, hardware in (
        ("dead", replace(cpu, device="gpu", gpu="dead", vram=2**40)),
        ("small", replace(cpu, device="gpu", gpu="small", vram=2**30)),
        ("large", replace(cpu, device="gpu", gpu="large", vram=2**33)),
        ("cpu", replace(cpu, ram=2**50)),
    ):
        report_worker(tmp_path, name)
        report_hardware(tmp_path, name, hardware)
    long_ago = time.time() - 2 * SILENT_SECONDS
    os.utime(tmp_path / ".workers" / "dead", (long_ago, long_ago))
    found = worker_hardware(tmp_path)
    assert found is not None
    assert found.gpu == "large"


def test_what_is_no_description_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / ".workers" / "hardware"
    folder.mkdir(parents=True)
    for number, text in enumerate(("", "[]", "{", '{"device": "gpu"}')):
        (folder / f"{number}.json").write_text(text)
    assert worker_hardware(tmp_path) is None
