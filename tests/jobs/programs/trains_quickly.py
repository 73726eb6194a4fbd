"""A pipeline that trains in a blink: every event, file and marker, no learning."""

import json
import sys
from pathlib import Path
from typing import Any

from finetune.job.directory import JobDirectory
from finetune.job.kept import ADAPTER, LEARNED, Kept
from finetune.job.pipeline import NOT_EXPORTED
from finetune.job.spec import parse_spec, stages_of

job = JobDirectory(Path(sys.argv[1]))
with job.locked():
    spec = parse_spec(job.spec_path.read_bytes())
    facts: dict[str, Any] = {}
    loss = abs(spec.rank - 20) / 10  # a rank of 20 learns best
    for stage in stages_of(spec):
        job.append_event(stage, "stage_started")
        if stage == "train":
            learned = job.stage(stage).path / LEARNED
            kept = Kept(learned.parent)
            if not learned.is_file():
                job.append_event(stage, "warning", detail="2 rows are alike")
                for step in (1, 2):
                    job.append_event(stage, "progress", step=step, steps=2, loss=1.0 / step)
                    weights = learned.parent / "checkpoints" / str(step)
                    weights.mkdir(parents=True, exist_ok=True)
                    for name in ADAPTER:
                        (weights / name).write_text(f"{name} of step {step}")
                    kept.add(step, round(loss + 2 - step, 1), weights)
                learned.write_text("{}")
            point, _ = kept.chosen(spec.checkpoint)
            facts = json.loads(learned.read_text()) | {
                "checkpoint": point.step,
                "eval_loss": point.eval_loss,
            }
        job.stage(stage).mark_done([], **(facts if stage == "train" else {}))
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
