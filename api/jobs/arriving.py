"""An adapter that was trained elsewhere comes to lie where a job has its own, and is held against its base."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from api.errors import AdapterRefused, TooLarge
from finetune.job.directory import JobDirectory
from finetune.preflight.arrived import (
    CONFIG,
    WEIGHTS,
    AdapterUnusable,
    form_of,
    require_fitting,
    settings_of,
    tensors_of,
)

TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "chat_template.jinja", "tokenizer.model"),
)
"""What else of a zip is taken, when all of a tokenizer is there; every other file stays in it."""
MOST_ENTRIES = 1000
MOST_SMALL_BYTES = 64 * 2**20
COPY_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Arrival:
    """What was sent: a zip, or the two files that make up an adapter."""

    archive: BinaryIO | None = None
    config: BinaryIO | None = None
    weights: BinaryIO | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """What an adapter says of itself."""

    base: str
    parameters: dict[str, Any]


def unpack(arrival: Arrival, job: JobDirectory, most_bytes: int) -> Arrived:
    """Write the adapter's files, and no others, into the job. `errors.AdapterRefused`, `errors.TooLarge`."""
    adapter = job.path / "train" / "adapter"
    adapter.mkdir(parents=True)
    try:
        if arrival.archive is not None:
            _from_zip(arrival.archive, adapter, most_bytes)
        elif arrival.config is not None and arrival.weights is not None:
            _copy(arrival.config, adapter / CONFIG, MOST_SMALL_BYTES)
            _copy(arrival.weights, adapter / WEIGHTS, most_bytes)
        else:
            raise AdapterUnusable(
                f"Send `adapter`, a zip of PEFT's folder, or both `adapter_config` ({CONFIG}) and "
                f"`adapter_model` ({WEIGHTS})."
            )
        settings = settings_of(adapter / CONFIG)
        tensors_of(adapter / WEIGHTS)
    except AdapterUnusable as error:
        raise AdapterRefused(str(error)) from error
    alpha = settings.get("lora_alpha")
    return Arrived(
        base=str(settings.get("base_model_name_or_path") or ""),
        parameters={
            "method": "adapter",
            "adapter": form_of(settings),
            "bits": 16,
            "rank": min(settings["r"], 512),
            "lora_alpha": min(alpha, 2048) if isinstance(alpha, int) and alpha > 0 else 1,
        },
    )


def hold_against(job: JobDirectory, base: Path) -> None:
    """Compare it with its base, and say that it is trained. `errors.AdapterRefused`."""
    train = job.stage("train")
    adapter = train.path / "adapter"
    try:
        require_fitting(tensors_of(adapter / WEIGHTS), base)
    except AdapterUnusable as error:
        raise AdapterRefused(str(error)) from error
    train.mark_done(sorted(path for path in train.path.rglob("*") if path.is_file()))


def _from_zip(archive: BinaryIO, adapter: Path, most_bytes: int) -> None:
    archive.seek(0)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened)
            _extract(opened, members, CONFIG, adapter / CONFIG, MOST_SMALL_BYTES)
            _extract(opened, members, WEIGHTS, adapter / WEIGHTS, most_bytes)
            if TOKENIZER[0] in members:
                own = adapter.with_name("tokenizer")
                own.mkdir()
                for name in TOKENIZER:
                    if name in members:
                        _extract(opened, members, name, own / name, MOST_SMALL_BYTES)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise AdapterUnusable(f"The zip cannot be read: {error}.") from error


def _members(opened: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """By their names without folders; only one folder may hold an adapter."""
    entries = [one for one in opened.infolist() if not one.is_dir()]
    if len(entries) > MOST_ENTRIES:
        raise AdapterUnusable(f"The zip has {len(entries)} files; an adapter has a few.")
    homes = [one.filename.rpartition("/")[0] for one in entries if _name(one) == CONFIG]
    if len(homes) != 1:
        raise AdapterUnusable(f"The zip holds {len(homes) or 'no'} {CONFIG}; one is wanted.")
    members = {_name(one): one for one in entries if one.filename.rpartition("/")[0] == homes[0]}
    if WEIGHTS not in members:
        pickled = next((name for name in members if name.endswith((".bin", ".pt", ".pth"))), None)
        raise AdapterUnusable(
            f"The zip holds {pickled}, a pickle, which can run code when it is loaded. Save {WEIGHTS}."
            if pickled
            else f"The zip holds no {WEIGHTS} beside {CONFIG}."
        )
    return members


def _name(entry: zipfile.ZipInfo) -> str:
    return entry.filename.rpartition("/")[2]


def _extract(
    opened: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str, to: Path, most: int
) -> None:
    """Into a path of ours; the zip's own paths are never used."""
    if members[name].file_size > most:
        raise TooLarge(f"{name} may have {most} bytes.", limit_bytes=most)
    with opened.open(members[name]) as source:
        _write(source, to, most)


def _copy(source: BinaryIO, to: Path, most: int) -> None:
    source.seek(0)
    _write(source, to, most)


def _write(source: IO[bytes], to: Path, most: int) -> None:
    with to.open("wb") as file:
        left = most
        while piece := source.read(COPY_BYTES):
            left -= len(piece)
            if left < 0:  # whatever the zip says of itself
                raise TooLarge(f"{to.name} may have {most} bytes.", limit_bytes=most)
            file.write(piece)
