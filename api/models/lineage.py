"""What a published fine-tune learned from and was made by; it stands in the model's record, and outlives its job."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from api.store.models import ModelRecord
from finetune.data.rows import Fold
from finetune.job.directory import JobDirectory
from finetune.job.files import read_json
from finetune.job.spec import DatasetOrigin, FineTuneSpec, parse_spec

NO_SETTINGS = {"version", "model_name", "base_model", "base_model_folder", "datasets"} | {
    "suffix",
    "metadata",
}


class Lineage(BaseModel):
    """As it is recorded."""

    job_id: str = Field(description="The job that trained it, which may be deleted meanwhile.")
    trained_by: str | None = Field(
        None,
        description="The job that trained it, where this one has exported another checkpoint of it.",
    )
    base: str = Field(description="The base model whose weights it began with.")
    base_fingerprint: str | None = Field(None, description="Tells that base from a later one.")
    datasets: dict[Fold, DatasetOrigin] = Field({}, description="What was given, by what for.")
    rows: dict[Fold, int] = Field({}, description="Rows that were learned, and that judged it.")
    rows_sha256: dict[str, str] = Field(
        {}, description="Of the files of these rows, as they were trained on."
    )
    settings: dict[str, Any] = Field({}, description="Every parameter of the run.")
    versions: dict[str, str] = Field({}, description="Of what trained, converted and quantized.")
    file_sha256: str | None = Field(None, description="Of the GGUF file that was published.")
    eval_loss_before: float | None = Field(None, description="Of the base on held-out rows.")
    eval_loss: float | None = Field(None, description="Of what was trained.")
    report: str = Field("", description="Where the run's report is, as long as its job is there.")


def lineage_of(directory: JobDirectory) -> Lineage | None:
    """What a job's files tell; None when they do not even say what was to be done."""
    try:
        spec = parse_spec(directory.spec_path.read_bytes())
    except (OSError, ValueError):
        return None
    done = {path.parent.name: _read(path) for path in directory.path.glob("*/done.json")}
    data = done.get("dataset", {})
    return Lineage(
        job_id=directory.id,
        trained_by=done.get("train", {}).get("trained_by"),
        base=spec.base_model,
        base_fingerprint=data.get("base"),
        datasets=spec.datasets,
        rows=_rows(data),
        rows_sha256=_hashes(data),
        settings=_settings(spec),
        versions=_versions(done),
        file_sha256=_hashes(done.get("quantize", {})).get(directory.gguf_path.name),
        eval_loss_before=done.get("train", {}).get("eval_loss_before"),
        eval_loss=done.get("train", {}).get("eval_loss"),
        report=f"/jobs/{directory.id}/report",
    )


def told_lineage(directory: JobDirectory) -> dict[str, Any]:
    """The same as it is recorded; empty for None."""
    lineage = lineage_of(directory)
    return lineage.model_dump(mode="json", exclude_none=True) if lineage else {}


def recorded(record: ModelRecord | None) -> Lineage | None:
    """What stands in a record; None of a persona, and of what an earlier release made."""
    try:
        return Lineage.model_validate(record.lineage) if record and record.lineage else None
    except ValidationError:
        return None


def learned_from(records: Iterable[ModelRecord], origins: Collection[str]) -> list[str]:
    """The models that learned from, or were judged by, one of these datasets or documents, each told by its id or by
    the SHA-256 of its file.
    """
    return sorted(
        record.name
        for record in records
        if (lineage := recorded(record)) and not _told(lineage).isdisjoint(origins)
    )


def _told(lineage: Lineage) -> set[str | None]:
    """Ids and hashes of all that was learned from."""
    given = lineage.datasets.values()
    documents = [document for origin in given for document in origin.documents]
    return {
        *(told for origin in given for told in (origin.id, origin.sha256)),
        *(told for document in documents for told in (document.id, document.sha256)),
    }


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path)
    return content if isinstance(content, dict) else {}


def _settings(spec: FineTuneSpec) -> dict[str, Any]:
    return {
        name: value
        for name, value in spec.model_dump(mode="json").items()
        if name not in NO_SETTINGS
    }


def _rows(data: dict[str, Any]) -> dict[Fold, int]:
    names: dict[Fold, str] = {"train": "rows", "eval": "eval_rows", "test": "test_rows"}
    return {fold: data[name] for fold, name in names.items() if data.get(name)}


def _hashes(done: dict[str, Any]) -> dict[str, str]:
    return {name: entry["sha256"] for name, entry in done.get("files", {}).items()}


def _versions(done: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Those that the training saw where several releases worked on the job."""
    found: dict[str, str] = {}
    for stage in sorted(done, key=lambda name: name == "train"):
        found |= done[stage].get("versions", {})
    return found
