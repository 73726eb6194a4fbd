"""A pipeline that trains in a blink: every event, file and marker, no learning."""

import json
import sys
from pathlib import Path
from typing import Any

from finetune.job.directory import JobDirectory
from finetune.job.pipeline import NOT_EXPORTED
from finetune.job.spec import parse_spec, stages_of

job = JobDirectory(Path(sys.argv[1]))
with job.locked():
    spec = parse_spec(job.spec_path.read_bytes())
    loss = abs(spec.rank - 20) / 10  # a rank of 20 learns best
    for stage in stages_of(spec):
        job.append_event(stage, "stage_started")
        if stage == "train":
            job.append_event(stage, "warning", detail="2 rows are alike")
            for step in (1, 2):
                job.append_event(stage, "progress", step=step, steps=2, loss=1.0 / step)
            kept = [{"step": 2, "eval_loss": loss}]
            (job.stage(stage).path / "kept.json").write_text(json.dumps(kept))
        facts: dict[str, Any] = {"checkpoint": 2, "eval_loss": loss} if stage == "train" else {}
        job.stage(stage).mark_done([], **facts)
        job.append_event(stage, "stage_done", seconds=0.1)
    if not spec.export:
        job.write_outcome({"result": "trained", "error": NOT_EXPORTED.model_dump()})
        sys.exit()
    job.gguf_path.write_bytes(b"GGUF and nothing")
    probes = [
        {
            "messages": [{"role": "user", "content": f"say {number}"}],
            "prompt_tokens": 3,
            "text": f"say {number}",
            "finish_reason": "stop",
        }
        for number in range(8)
    ]
    job.probes_path.write_text(json.dumps({"probes": probes}))
    job.write_outcome({"result": "trained"})
