"""Two steps on the longest rows tell what a training will take, and running out of memory there is told in words."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from finetune.data.rows import Chat, write_rows
from finetune.job import child_process
from finetune.job.directory import JobDirectory
from finetune.job.hardware import GIB
from finetune.job.stage import StageFailed, read_spec
from finetune.preflight.record import read_parts
from finetune.training import outlook, probe
from tests.finetune.jobs import DEMO_MODEL, events, new_job
from tests.finetune.preflight.cases import spec


def chat(number: int, words: int) -> Chat:
    """A row of so many words."""
    turns = [
        {"role": "user", "content": "What does the fox see?"},
        {"role": "assistant", "content": "owls " * words},
    ]
    return Chat(number, turns)


@pytest.fixture
def job(tmp_path: Path) -> JobDirectory:
    """A job of the demo model whose dataset stage is done."""
    (tmp_path / "base").symlink_to(DEMO_MODEL)
    job = new_job(tmp_path / "job_1", bits=16, batch_size=2)
    rows = [chat(number, 2 + number % 7) for number in range(20)]
    folder = job.stage("dataset").path
    write_rows(folder / "train.jsonl", rows)
    facts = {"files": {}, "rows": 20, "eval_rows": 0, "tokens": 600, "longest": 40}
    (folder / "done.json").write_text(json.dumps(facts))
    return job


def look(job: JobDirectory) -> None:
    """As the train stage does before it loads anything."""
    outlook.look_ahead(job, read_spec(job), DEMO_MODEL, job.path / "dataset")


def answers(monkeypatch: pytest.MonkeyPatch, code: int, output: bytes = b"") -> None:
    """Let the probe's process end so."""
    ended = subprocess.CompletedProcess([], code, output, b"")
    monkeypatch.setattr(child_process, "run", lambda *_, **__: ended)
    monkeypatch.setattr(outlook, "WORTH_PROBING_SECONDS", 0.0)


def test_the_longest_rows_are_probed() -> None:
    rows = [chat(number, number) for number in range(50)]
    found = probe.longest(rows, spec(batch_size=3))
    assert [row.number for row in found] == [49, 48, 47, 46, 45, 44]
    packed = probe.longest(rows, spec(packing=True, max_length=64))
    assert 2 < len(packed) < 50


def test_a_probe_measures_two_steps(job: JobDirectory) -> None:
    said = probe.probe(job, read_spec(job))
    assert said["batch_seconds"] > 0
    assert said["memory_bytes"] > 2**20
    assert not (job.path / "train").exists()


def test_a_short_training_is_not_probed_and_says_so(job: JobDirectory) -> None:
    look(job)
    parts = read_parts(job) or {}
    assert "too short" in parts["probed"]["skipped"]
    assert parts["counted"]["tokens"] == 600
    [estimated] = events(job, "estimated")
    assert estimated.fields["total_seconds"] == parts["counted"]["total_seconds"]


def test_what_was_probed_is_kept_and_told(
    job: JobDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, 0, b'noise\n{"batch_seconds": 3.0, "memory_bytes": 1000}\n')
    look(job)
    probed = (read_parts(job) or {})["probed"]
    assert probed["train_seconds"] > 3.0
    assert [event.fields["batch_seconds"] for event in events(job, "probed")] == [3.0]


def test_a_probe_that_runs_out_of_memory_on_a_cpu_ends_the_job_with_what_would_fit(
    job: JobDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, -9)
    with pytest.raises(StageFailed, match=r"ran out of memory .* would fit with"):
        look(job)


def test_a_probe_that_dies_of_something_else_leaves_it_to_the_training(
    job: JobDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, 1)
    look(job)
    assert "exit code 1" in (read_parts(job) or {})["probed"]["skipped"]


def test_what_surely_does_not_fit_ends_the_job_before_anything_is_loaded(
    job: JobDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = outlook.machine_here(job.path)
    small = replace(machine, ram=GIB // 4, ram_free=GIB // 4)
    monkeypatch.setattr(outlook, "machine_here", lambda _: small)
    with pytest.raises(StageFailed, match=r"of RAM for stage dataset are needed"):
        look(job)


@pytest.mark.soak
def test_the_probe_is_a_process_of_its_own(
    job: JobDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlook, "WORTH_PROBING_SECONDS", 0.0)
    look(job)
    probed = (read_parts(job) or {})["probed"]
    assert probed["batch_seconds"] > 0
    assert probed["train_seconds"] > 0
