"""Stage `verify`: the exported files are only good when they speak like the model that was trained.

The F16 file says of itself what the tokenizer of the training says, cuts text and renders conversations into the same
tokens, and finds the tokens of trained answers as likely as base and adapter do. Each quantized file holds the same
weights but for what its type costs, and is held against the same model. What the published one answers to eight prompts
is held against it too, and kept in `probes.json` for publishing to repeat. What is wrong is written down in
`report.json`, and refused there; the job goes on.
"""

import json
import sys

from finetune.checks import speaking
from finetune.checks.cost import estimate
from finetune.checks.files import Examination
from finetune.checks.subject import subject_of
from finetune.job import stage
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.files import write_atomically
from finetune.job.parameters.checking import Bounds
from finetune.job.spec import FineTuneSpec, Probes

EXACT = "convert/model-f16.gguf"


def verify(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    """convert/, quantize/ and what was trained -> verify/report.json, verify/probes.json."""
    exact = stage.needs(job, "convert", "model-f16.gguf") / "model-f16.gguf"
    quantized = sorted(stage.needs(job, "quantize", "model.gguf").glob("model*.gguf"))
    subject = subject_of(job, spec)
    job.append_event("verify", "estimated", **estimate(subject, len(quantized)))
    published = f"quantize/{job.gguf_path.name}"

    exam = Examination(subject, spec.bounds or Bounds())
    exam.read(EXACT, exact)
    probes, said = exam.ask(published, job.gguf_path)
    reference = subject.reference()
    expected = reference.expect([*subject.passages, *said])
    taught, spoken = expected[: len(subject.passages)], expected[len(subject.passages) :]
    exam.hold_exact(EXACT, exact, reference, taught)
    del reference
    for path in quantized:
        exam.hold_quantized(f"quantize/{path.name}", path, exact, taught)
    with exam.verdict.of(published):
        exam.report["answers"] = speaking.judge_answers(said, spoken, exam.bounds.answers)

    for kind, detail in exam.warnings.items():
        job.append_event("verify", "warning", kind=kind, detail=detail)
    refused = exam.verdict.written()
    report = exam.report | {"bounds": exam.bounds.model_dump(), "refused": refused}
    files = [folder.path / "report.json"]
    write_atomically(files[0], json.dumps(report, indent=1))
    if probes:
        files.append(job.probes_path)
        write_atomically(job.probes_path, Probes(probes=probes).model_dump_json(indent=1))
    folder.mark_done(files)


if __name__ == "__main__":
    sys.exit(stage.main("verify", verify))
