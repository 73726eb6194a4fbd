"""One real job on the demo model, nf4, through all stages and all that can happen to it on the way."""

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.spec import Probes
from tests.finetune.conftest import ANSWER, copied, question_rows
from tests.finetune.jobs import PATIENCE_SECONDS, events, new_job, start, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


@dataclass
class Life:
    """The job, and how it stood after each thing that happened to it."""

    job: JobDirectory
    outcomes: list[object]
    steps: list[int]
    exit_codes: list[int]


def last_step(job: JobDirectory) -> int:
    saved = events(job, "checkpoint")
    return int(saved[-1].fields["step"]) if saved else 0


def started(job: JobDirectory) -> "subprocess.Popen[bytes]":
    """The pipeline, once training has saved a new checkpoint."""
    before = len(events(job, "checkpoint"))
    program = start("finetune", job.path)
    wait_for(lambda: len(events(job, "checkpoint")) >= before + 2 or program.poll() is not None)
    assert program.poll() is None, job.log_path.read_text()[-3000:]
    return program


@pytest.fixture(scope="session")
def life(jobs_folder: Path) -> Life:
    """Killed in training, resumed over a torn checkpoint, cancelled, resumed, stopped, and brought to its end."""
    job = new_job(
        jobs_folder / "job_life",
        question_rows(),
        rank=16,
        lora_alpha=16,
        learning_rate=5e-3,
        batch_size=4,
        gradient_accumulation_steps=1,
        epochs=6,
        max_length=128,
        checkpoint_steps=2,
    )
    life = Life(job, [], [], [])

    def note(program: "subprocess.Popen[bytes]") -> None:
        life.exit_codes.append(program.wait(PATIENCE_SECONDS))
        life.outcomes.append(job.outcome())
        life.steps.append(last_step(job))
        job.request_start()

    program = started(job)
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children")
    os.kill(int(children.read_text()), signal.SIGKILL)
    note(program)

    torn = job.path / "train" / "checkpoints" / "checkpoint-9999"
    torn.mkdir()
    (torn / "trainer_state.json").write_text('{"global_step": 99')
    program = started(job)
    job.request_cancel()
    note(program)

    program = started(job)
    program.send_signal(signal.SIGTERM)
    note(program)

    note(start("finetune", job.path))
    return life


def test_a_killed_stage_is_said_to_be_killed(life: Life) -> None:
    outcome = life.outcomes[0]
    assert isinstance(outcome, dict)
    assert (outcome["result"], outcome["error"]["stage"]) == ("failed", "train")
    assert "memory" in outcome["error"]["detail"]


def test_a_cancelled_and_a_stopped_job_end_as_they_should(life: Life) -> None:
    assert life.outcomes[1] == {"result": "cancelled", "error": None}
    assert life.outcomes[2] is None
    assert life.exit_codes == [1, 3, 4, 0]


def test_each_start_goes_on_from_the_last_whole_checkpoint(life: Life) -> None:
    assert life.steps == sorted(set(life.steps)), "no start began anew"
    saved = [int(event.fields["step"]) for event in events(life.job, "checkpoint")]
    plan = events(life.job, "plan")[-1].fields
    assert saved[-1] == plan["steps"] == 60
    assert len(saved) <= plan["steps"] / 2 + 2 * len(life.steps), "hardly a step was made twice"


def test_the_job_ends_trained_with_a_gguf_of_the_asked_type(life: Life) -> None:
    assert life.outcomes[3] == {"result": "trained", "error": None}
    assert life.job.gguf_path.read_bytes()[:4] == b"GGUF"
    done = json.loads((life.job.path / "quantize" / "done.json").read_text())
    assert done["types"]["Q4_K"] > done["types"].get("F16", 0)


def test_progress_and_evaluation_are_told(life: Life) -> None:
    last = events(life.job, "progress")[-1].fields
    assert (last["step"], last["steps"]) == (60, 60)
    assert set(last) >= {"loss", "learning_rate", "tokens_per_second", "eta_seconds"}
    assert last["memory_bytes"] > 0
    (evaluated,) = events(life.job, "evaluated")
    assert evaluated.fields["eval_loss"] < evaluated.fields["eval_loss_before"] / 2


def test_nothing_is_left_but_what_the_stages_made(life: Life) -> None:
    leftovers = [path.name for path in life.job.path.rglob("*") if path.name.endswith(".tmp")]
    assert leftovers == []
    assert not (life.job.path / "train" / "checkpoints").exists()
    assert not life.job.is_locked()


def test_the_probes_show_what_was_learned_on_rows_never_trained_on(life: Life) -> None:
    probes = Probes.model_validate_json(life.job.probes_path.read_text()).probes
    held_out = [
        json.loads(line)["messages"][:1]
        for line in (life.job.path / "dataset" / "eval.jsonl").read_text().splitlines()
    ]
    assert len(probes) == 8
    assert [probe.messages for probe in probes[: len(held_out)]] == held_out
    assert probes[0].text == ANSWER
    assert probes[0].finish_reason == "stop"
    report = json.loads((life.job.path / "verify" / "report.json").read_text())
    assert [entry["tokens"] for entry in report["greedy"]] == [
        entry["gguf_tokens"] for entry in report["greedy"]
    ]


def test_a_second_run_changes_nothing(life: Life) -> None:
    before = life.job.gguf_path.stat().st_mtime_ns
    life.job.write_outcome({"result": "failed", "error": None})
    count = len(life.job.events()[0])
    assert start("finetune", life.job.path).wait(PATIENCE_SECONDS) == 0
    assert life.job.outcome() == {"result": "trained", "error": None}
    assert life.job.gguf_path.stat().st_mtime_ns == before
    assert len(life.job.events()[0]) == count


def rerun_from(job: JobDirectory, *stages: str) -> dict[str, object]:
    """Forget these stages, run the job again, and return its error."""
    for stage in stages:
        (job.path / stage / "done.json").unlink()
    start("finetune", job.path).wait(PATIENCE_SECONDS)
    outcome = job.outcome()
    assert outcome is not None
    assert outcome["result"] == "failed", "it would have been published"
    error = outcome["error"]
    assert isinstance(error, dict)
    return error


def test_a_wrong_chat_template_in_the_export_is_caught(life: Life, jobs_folder: Path) -> None:
    job = copied(life.job, jobs_folder / "job_template")
    merged = StageDirectory(job.path / "merge")
    template = merged.path / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant\\n'", "assistant: '"))
    merged.mark_done([template])
    error = rerun_from(job, "convert", "quantize", "verify")
    assert error["stage"] == "verify"
    assert error["title"] == "The GGUF renders prompts differently"
    assert "chat template" in str(error["detail"])
    assert not job.probes_path.with_name("done.json").exists()


def test_an_export_that_lost_the_training_is_caught(
    life: Life, jobs_folder: Path, demo_gguf: Path
) -> None:
    job = copied(life.job, jobs_folder / "job_lost")
    convert = StageDirectory(job.path / "convert")
    target = convert.path / "model-f16.gguf"
    target.unlink()
    os.link(demo_gguf, target)
    convert.mark_done([target])
    error = rerun_from(job, "verify")
    assert error["title"] == "The GGUF speaks differently"
