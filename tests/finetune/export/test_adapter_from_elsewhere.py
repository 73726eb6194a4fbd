"""An adapter that was trained elsewhere goes through the real stages and is verified like one that was trained here."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from api.jobs.arriving import Arrival, hold_against, unpack
from finetune.data.small_talk import as_json_lines
from finetune.job.pipeline import Pipeline
from tests.finetune.export.adapters import save_adapter
from tests.finetune.jobs import DEMO_MODEL, new_job

pytestmark = [pytest.mark.real, pytest.mark.soak, pytest.mark.timeout(600)]


def test_it_is_verified_on_conversations_of_ours(tmp_path: Path) -> None:
    (tmp_path / "base").symlink_to(DEMO_MODEL)
    folder = save_adapter(DEMO_MODEL, tmp_path / "adapter", noise=0.01, use_dora=True)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"outputs/{path.name}")
    job = new_job(tmp_path / "job", method="adapter", quantization="Q8_0,Q4_K_M", keep_merged=True)
    arrived = unpack(Arrival(archive=packed), job, 2**30)
    spec = json.loads(job.spec_path.read_text()) | arrived.parameters | {"compare_rows": 0}
    job.spec_path.write_text(json.dumps(spec))
    hold_against(job, DEMO_MODEL, None)
    job.inputs.mkdir()
    (job.inputs / "train.jsonl").write_bytes(as_json_lines())
    outcome = Pipeline(job).run()
    assert outcome is not None, job.log_path.read_text()[-3000:]
    assert (outcome.result, outcome.error) == ("trained", None)
    stages = [event.stage for event in job.events()[0] if event.type == "stage_done"]
    assert stages == ["dataset", "merge", "convert", "quantize", "verify"]
    report = json.loads((job.path / "verify" / "report.json").read_text())
    assert not report["refused"]
    assert job.probes_path.is_file()
