"""A pipeline that trains in a blink: every event, file and marker, no learning."""

import json
import sys
from pathlib import Path

from finetune.job.directory import JobDirectory
from finetune.job.spec import STAGES

job = JobDirectory(Path(sys.argv[1]))
with job.locked():
    for stage in STAGES["sft"]:
        job.append_event(stage, "stage_started")
        if stage == "train":
            job.append_event(stage, "warning", detail="2 rows are alike")
            for step in (1, 2):
                job.append_event(stage, "progress", step=step, steps=2, loss=1.0 / step)
        job.stage(stage).mark_done([])
        job.append_event(stage, "stage_done", seconds=0.1)
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
