"""The API is killed at each point between a submission and its model; the next start goes on."""

import json
import os
import subprocess
from pathlib import Path

from tests.jobs.workshop import command

POINTS = (
    "job_placed",
    "job_added",
    "job_claimed",
    "job_trained",
    "publish_created",
    "publish_recorded",
    "publish_renamed",
)


def serve(folder: Path, fault: str = "", *wishes: str) -> subprocess.CompletedProcess[str]:
    """Run the API over the folder until its job has settled, or it dies."""
    return subprocess.run(
        [*command("serves_one_job"), str(folder), *wishes],
        env={**os.environ, "LLM_FASTAPI_FAULT": fault},
        capture_output=True,
        text=True,
    )


def test_kills_at_every_point_in_turn_lose_nothing_and_leave_nothing(tmp_path: Path) -> None:
    for point in POINTS:
        assert serve(tmp_path, point).returncode == 137, point
    result = serve(tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {
        "jobs": 1,
        "status": "succeeded",
        "error": None,
        "texts_equal": 8,
        "models": ["demo", "tuned"],
        "job_of_model": True,
        "findings": [],
    }
    for point in ("job_placed", "publish_recorded"):  # of the export: the rest is the same code
        assert serve(tmp_path, point, "export").returncode == 137, point
        assert "tuned" in json.loads((tmp_path / "kept.json").read_text()), point
    told = json.loads(serve(tmp_path, "", "export").stdout)
    assert (told["jobs"], told["status"], told["job_of_model"]) == (2, "succeeded", True)
    assert told["models"] == ["demo", "tuned", "tuned-1"]
    assert told["findings"] == []
