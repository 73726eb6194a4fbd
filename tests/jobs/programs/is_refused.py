"""A pipeline that trains in a blink, and finds that its file is not what was trained."""

import json
import runpy
import sys
from pathlib import Path

from finetune.job.directory import JobDirectory

job = JobDirectory(Path(sys.argv[1]))
refusal = {
    "file": "quantize/model.gguf",
    "title": "The quantized GGUF holds other weights",
    "detail": "Tensor blk.2.ffn_up.weight is 0.31 of its size away from the F16 file's; Q4_K costs 0.12 at most.",
}
report = {"files": {"quantize/model.gguf": {"mean": 0.4}}, "refused": [refusal]}
(job.stage("verify").path / "report.json").write_text(json.dumps(report))
runpy.run_module("tests.jobs.programs.trains_quickly", run_name="__main__")
