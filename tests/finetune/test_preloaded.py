"""Stages that are forked: processes of their own, whose ends are told as those of commands are."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from finetune.job import child_process
from finetune.job.preloaded import Forked, Preloaded, may_fork

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not may_fork(), reason="beside a GPU every stage starts by itself"),
]


@pytest.fixture
def preloaded(tmp_path: Path) -> Iterator[Preloaded]:
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    with (tmp_path / "log.txt").open("ab") as log:
        preloaded = Preloaded(tmp_path, child_process.environment(), log, lock)
    yield preloaded
    preloaded.close()
    os.close(lock)


def end_of(stage: Forked, seconds: float = 60) -> int:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            return stage.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    pytest.fail("it does not end")


def test_a_stage_that_fails_says_so_and_the_next_one_begins(
    preloaded: Preloaded, tmp_path: Path
) -> None:
    first = preloaded.start("quantize")
    assert first.poll() is None
    assert end_of(first) == 1
    assert end_of(preloaded.start("merge")) == 1
    assert first.poll() == 1
    log = (tmp_path / "log.txt").read_text()
    assert log.count("StageFailed: No usable spec.json") == 2
    assert "RuntimeWarning" not in log


def test_a_stop_before_anything_is_imported_is_a_stop(preloaded: Preloaded) -> None:
    stage = preloaded.start("train")
    stage.terminate()
    assert end_of(stage) == -15
    assert end_of(preloaded.start("train")) == -15


def test_nothing_is_left_when_it_is_closed(preloaded: Preloaded, tmp_path: Path) -> None:
    end_of(preloaded.start("quantize"))
    preloaded.close()
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if str(tmp_path) in command]
