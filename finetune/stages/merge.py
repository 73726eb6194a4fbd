"""Stage `merge`, on wish: base + adapter as a Hugging Face folder in float16, for others to build on.

Nothing of the job reads it: the GGUF is made from base and adapter as they are, rounded once.
"""

import sys

from finetune.export import safetensors_folder
from finetune.export.trained import trained, write_small_files
from finetune.job import stage
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.spec import FineTuneSpec
from finetune.preflight.base import read_base
from finetune.preflight.room import require_disk


def merge(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    """train/ and the base -> merge/."""
    base = stage.base_folder(job, spec)
    folder.clear()
    require_disk(job.path, 2 * read_base(base).parameters)
    made = trained(job, spec)
    write_small_files(job, spec, made.config | {"dtype": "float16"}, folder.path)
    safetensors_folder.write(folder.path, made.weights)
    folder.mark_done(sorted(folder.path.iterdir()))


if __name__ == "__main__":
    sys.exit(stage.main("merge", merge))
