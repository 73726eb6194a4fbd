"""A pipeline that trains in a blink, and finds that it was to no avail."""

import json
import runpy
import sys
from pathlib import Path

from finetune.job.directory import JobDirectory

SAYS = "No difference between the tuned model and its base is shown on 40 held-out rows."

job = JobDirectory(Path(sys.argv[1]))
refusal = {
    "file": "quantize/model.gguf",
    "title": "Not better than its base",
    "detail": SAYS,
    "stage": "evaluate",
}
comparison = {"says": SAYS, "verdict": "no difference shown", "refused": [refusal]}
(job.stage("evaluate").path / "comparison.json").write_text(json.dumps(comparison))
runpy.run_module("tests.jobs.programs.trains_quickly", run_name="__main__")
