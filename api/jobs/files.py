"""What a job has made, to be fetched: what its stages have finished, by names of their own, and nothing else."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread

from api.errors import FileNotFound
from api.runtime.ollama.modelfile import modelfile
from api.store import Store
from finetune.job.directory import JobDirectory, StageDirectory

ADAPTER_ZIP = "adapter.zip"
MODELFILE = "Modelfile"
GGUF = "model.gguf"
PIECE_BYTES = 2**20
PLACES = {
    "adapter/": ("train", "adapter/"),
    "trained/": ("train", "model/"),
    "tokenizer/": ("train", "tokenizer/"),
    "merged/": ("merge", ""),
    "": ("quantize", ""),
    "dataset/": ("dataset", ""),
    "verify/": ("verify", ""),
    "report/": ("report", ""),
}
"""Names as they are fetched, and the stage and folder in which they lie."""
_WHY_NOT = {
    "merged/": "The merged model is written when keep_merged=true asks for it at submission.",
    "adapter": "The job has trained no adapter: with adapter=full its weights are below trained/, before its training "
    "nothing is there.",
}


@dataclass(frozen=True, slots=True)
class JobFile:
    """One file. What is made when it is asked for has no size and no hash before."""

    path: str
    bytes: int | None = None
    sha256: str | None = None
    place: Path | None = None


class JobFiles:
    """The files of jobs. `errors.JobNotFound` for an unknown id, `errors.FileNotFound` for an unknown name."""

    def __init__(self, store: Store, jobs_dir: Path) -> None:
        self._store = store
        self._jobs_dir = jobs_dir

    async def listed(self, job_id: str) -> list[JobFile]:
        """All of a job."""
        return await anyio.to_thread.run_sync(lambda: listed(self._directory(job_id)))

    async def found(self, job_id: str, path: str) -> JobFile:
        """One of them by its name."""
        return await anyio.to_thread.run_sync(lambda: found(self._directory(job_id), path))

    async def modelfile(self, job_id: str) -> str:
        """What `ollama create` makes the model of, beside its GGUF."""
        job = await anyio.to_thread.run_sync(self._directory, job_id)
        return await anyio.to_thread.run_sync(modelfile, job.gguf_path, f"./{GGUF}")

    def zipped_adapter(self, job_id: str, files: list[JobFile]) -> Iterator[bytes]:
        """The adapter's files as one zip, piece by piece; nothing is written anywhere."""
        sink: Any = _Sink()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
            for one in files:
                if one.place is None or not one.path.startswith("adapter/"):
                    continue
                name = zipfile.ZipInfo(f"{job_id}-{one.path}")
                with one.place.open("rb") as file, archive.open(name, "w", force_zip64=True) as to:
                    while piece := file.read(PIECE_BYTES):
                        to.write(piece)
                        yield from sink.taken()
        yield from sink.taken()

    def _directory(self, job_id: str) -> JobDirectory:
        return JobDirectory(self._jobs_dir / self._store.jobs.get(job_id).id)


def listed(job: JobDirectory) -> list[JobFile]:
    """Every file that a stage has finished, by the name under which it is fetched."""
    files: list[JobFile] = []
    for prefix, (stage, folder) in PLACES.items():
        directory = StageDirectory(job.path / stage)
        for name, entry in _finished(directory).items():
            place = directory.path / name
            if name.startswith(folder) and place.is_file() and _is_inside(place, directory.path):
                path = prefix + name.removeprefix(folder)
                if path not in {one.path for one in files} and _belongs(prefix, name):
                    files.append(JobFile(path, entry.get("bytes"), entry.get("sha256"), place))
    names = {one.path for one in files}
    if any(name.startswith("adapter/") for name in names):
        files.append(JobFile(ADAPTER_ZIP))
    if GGUF in names:
        files.append(JobFile(MODELFILE))
    return sorted(files, key=lambda one: one.path)


def found(job: JobDirectory, path: str) -> JobFile:
    """The file of this name. Raises `errors.FileNotFound`, which says what there is and what would have made it."""
    files = {one.path: one for one in listed(job)}
    if path in files:
        return files[path]
    hint = next((text for start, text in _WHY_NOT.items() if path.startswith(start)), "")
    known = ", ".join(files) or "nothing yet"
    raise FileNotFound(f"This job has no such file. {hint} There is: {known}.".replace("  ", " "))


def _belongs(prefix: str, name: str) -> bool:
    """Training's folders hold more than one kind of thing, and only models lie at the top."""
    return bool(prefix) or name.endswith(".gguf")


def _finished(directory: StageDirectory) -> dict[str, Any]:
    try:
        marker = json.loads(directory.done_path.read_text("utf-8"))
        files = marker["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return files if isinstance(files, dict) else {}


def _is_inside(place: Path, folder: Path) -> bool:
    return place.resolve().is_relative_to(folder.resolve())


class _Sink:
    """Where a zip is written that is sent on at once: it cannot be gone back in."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def taken(self) -> list[bytes]:
        """What was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return pieces
