"""What every stage shares: how it starts, how it fails, and the marker it ends with. No machine learning here."""

import hashlib
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.files import read_json
from finetune.job.spec import FineTuneSpec, parse_spec
from finetune.job.usage import used

FINGERPRINT_BYTES = 2**20

DISK_FULL = ("[Errno 28]", "(os error 28)", "inline_container.cc", "iostream error")
"""How Python, safetensors and torch (in two ways, neither of which names the disk) say that it is full."""

EXIT_FAILED = 1
EXIT_CANCELLED = 3
EXIT_INTERRUPTED = 4
EXIT_LOCKED = 5


class StageFailed(Exception):
    """The stage cannot go on: what is wrong, and what to do."""

    def __init__(self, title: str, detail: str) -> None:
        super().__init__(f"{title}: {detail}")
        self.title = title
        self.detail = detail


class Cancelled(Exception):
    """The job was asked to stop, and did at a safe point."""


class Interrupted(Exception):
    """The process was told to end; the job goes on when it is started again."""


def read_spec(job: JobDirectory) -> FineTuneSpec:
    """The job's parameters. Raises `StageFailed`."""
    try:
        return parse_spec(job.spec_path.read_bytes())
    except (OSError, ValueError) as error:
        raise StageFailed("No usable spec.json", f"{job.spec_path.name}: {error}") from error


def base_folder(job: JobDirectory, spec: FineTuneSpec) -> Path:
    """The Hugging Face folder the job trains from, the same one all along. Raises `StageFailed`."""
    folder = (job.path / spec.base_model_folder).resolve()
    if not (folder / "config.json").is_file():
        raise StageFailed(
            "Base model missing",
            f"The folder of base model {spec.base_model!r} holds no config.json. Fetch it again.",
        )
    begun_with = (read_json(job.path / "dataset" / "done.json") or {}).get("base")
    if begun_with not in (None, fingerprint(folder)):
        raise StageFailed(
            "Base model changed",
            f"Base model {spec.base_model!r} is another one than when the job began. Start a new job.",
        )
    return folder


def fingerprint(folder: Path, files: Iterable[str] = ("*.json", "*.jinja", "*.safetensors")) -> str:
    """Tells two models apart in no time: small files whole, of weights the size and both ends."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in files for path in folder.glob(pattern)}):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(FINGERPRINT_BYTES))
            file.seek(max(0, size - FINGERPRINT_BYTES))
            digest.update(file.read())
    return digest.hexdigest()


def needs(job: JobDirectory, stage: str, *files: str) -> Path:
    """The folder of an earlier stage, when it is done and holds these files. Raises `StageFailed`."""
    folder = StageDirectory(job.path / stage)
    missing = [name for name in ("done.json", *files) if not (folder.path / name).exists()]
    if missing or not isinstance(read_json(folder.done_path), dict):
        names = ", ".join(f"{stage}/{name}" for name in missing or ["done.json"])
        raise StageFailed(
            "An earlier stage is not done",
            f"Missing or damaged: {names}. Run `python -m finetune.stages.{stage} JOB_DIR` first.",
        )
    return folder.path


Work = Callable[[JobDirectory, FineTuneSpec, StageDirectory], None]


def main(name: str, work: Work, argv: list[str] | None = None) -> int:
    """Run one stage of the job that the command line names; the exit code says how it ended."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1:
        sys.stderr.write(f"usage: python -m finetune.stages.{name} JOB_DIR\n")
        return 2
    job = JobDirectory(Path(arguments[0]).resolve())
    try:
        spec = read_spec(job)
        if job.stage(name).done() is None:
            work(job, spec, job.stage(name))
            job.append_event(name, "used", **used())
    except Cancelled:
        return EXIT_CANCELLED
    except Interrupted:
        return EXIT_INTERRUPTED
    except Exception as error:
        traceback.print_exc()
        job.append_event(name, "failed", **failure(error))
        return EXIT_FAILED
    return 0


def failure(error: Exception) -> dict[str, Any]:
    """Title and detail of whatever ended a stage."""
    if isinstance(error, StageFailed):
        return {"title": error.title, "detail": error.detail}
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return {
            "title": "Out of memory",
            "detail": f"{error}. Use bits=4, a smaller batch_size or max_length, or a smaller base.",
        }
    if any(sign in str(error) for sign in DISK_FULL):
        return {"title": "No space left", "detail": "The disk is full. Free space, then resume."}
    return {"title": "Unexpected error", "detail": f"{type(error).__name__}: {error}"[:2000]}
