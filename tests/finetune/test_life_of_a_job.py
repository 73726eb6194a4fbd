"""One real job on the demo model, nf4, through all stages and all that can happen to it on the way."""

import json

import pytest

from finetune.job.spec import Probes
from tests.finetune.conftest import ANSWER, Life
from tests.finetune.jobs import PATIENCE_SECONDS, events, start

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


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
    steps = [e.fields for e in events(life.job, "progress") if "loss" in e.fields]
    last = steps[-1]
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
    assert report["refused"] == []
    assert report["files"]["convert/model-f16.gguf"]["largest"] < 0.05


def test_a_second_run_changes_nothing(life: Life) -> None:
    before = life.job.gguf_path.stat().st_mtime_ns
    life.job.write_outcome({"result": "failed", "error": None})
    count = len(life.job.events()[0])
    assert start("finetune", life.job.path).wait(PATIENCE_SECONDS) == 0
    assert life.job.outcome() == {"result": "trained", "error": None}
    assert life.job.gguf_path.stat().st_mtime_ns == before
    assert len(life.job.events()[0]) == count
