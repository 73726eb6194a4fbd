"""An adapter that was trained elsewhere comes to lie where a job has its own, and is held against its base."""

import json
import lzma
import shutil
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from api.errors import TooLarge
from api.jobs.refusals import AdapterRefused
from api.zip_files import oddly_packed
from finetune.job.directory import JobDirectory
from finetune.job.files import read_json
from finetune.preflight.arrived import (
    CONFIG,
    WEIGHTS,
    AdapterUnusable,
    form_of,
    require_fitting,
    settings_of,
    tensors_of,
)

TEMPLATE, TOKENIZER_CONFIG = "chat_template.jinja", "tokenizer_config.json"
"""Where else of a zip something is read: the chat template it was trained with. Every other file stays in it."""
TOKENIZER = (
    *("tokenizer.json", "tokenizer.model", TOKENIZER_CONFIG, "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "merges.txt"),
)
MOST_ENTRIES = 1000
MOST_SMALL_BYTES = 16 * 2**20
MOST_TEXT_BYTES = 16 * 2**20
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
    """Write the adapter's files, and no others, into the job. `AdapterRefused`, `errors.TooLarge`."""
    adapter = job.path / "train" / "adapter"
    adapter.mkdir(parents=True)
    template: str | None = None
    try:
        if arrival.archive is not None:
            template = _from_zip(arrival.archive, adapter, most_bytes)
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
            **({"chat_template": template} if template else {}),
        },
    )


def hold_against(job: JobDirectory, base: Path, template: str | None) -> None:
    """Compare it with its base, and say that it is trained, with this chat template. `AdapterRefused`."""
    train = job.stage("train")
    adapter = train.path / "adapter"
    try:
        require_fitting(tensors_of(adapter / WEIGHTS), base)
    except AdapterUnusable as error:
        raise AdapterRefused(str(error)) from error
    if template:
        _write_tokenizer(base, template, train.path / "tokenizer")
    train.mark_done(sorted(path for path in train.path.rglob("*") if path.is_file()))


def _write_tokenizer(base: Path, template: str, folder: Path) -> None:
    """The base's tokenizer with another template, as training leaves it."""
    folder.mkdir()
    for name in TOKENIZER:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    config = read_json(folder / TOKENIZER_CONFIG)
    config = config if isinstance(config, dict) else {}
    config.pop("chat_template", None)
    (folder / TOKENIZER_CONFIG).write_text(json.dumps(config, indent=1), "utf-8")
    (folder / TEMPLATE).write_text(template, "utf-8")


def _from_zip(archive: BinaryIO, adapter: Path, most_bytes: int) -> str | None:
    """Its two files written; the chat template beside them."""
    archive.seek(0)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened)
            _extract(opened, members, CONFIG, adapter / CONFIG, MOST_SMALL_BYTES)
            _extract(opened, members, WEIGHTS, adapter / WEIGHTS, most_bytes)
            return _template(opened, members)
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        NotImplementedError,
        RuntimeError,
        EOFError,
        OSError,
    ) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise AdapterUnusable(f"The zip cannot be read: {error}.") from error


def _template(opened: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> str | None:
    if TEMPLATE in members:
        return _text(opened, members[TEMPLATE])
    if TOKENIZER_CONFIG not in members:
        return None
    try:
        config = json.loads(_text(opened, members[TOKENIZER_CONFIG]))
    except ValueError as error:
        raise AdapterUnusable(f"{TOKENIZER_CONFIG} is no JSON: {error}.") from error
    template = config.get("chat_template") if isinstance(config, dict) else None
    return template if isinstance(template, str) else None


def _text(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    with opened.open(entry) as file:
        data = file.read(MOST_TEXT_BYTES + 1)
    if len(data) > MOST_TEXT_BYTES:
        raise TooLarge(
            f"{_name(entry)} may have {MOST_TEXT_BYTES} bytes.", limit_bytes=MOST_TEXT_BYTES
        )
    return data.decode("utf-8", "replace")


def _members(opened: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """By their names without folders; only one folder may hold an adapter."""
    entries = [one for one in opened.infolist() if not one.is_dir()]
    if len(entries) > MOST_ENTRIES:
        raise AdapterUnusable(f"The zip has {len(entries)} files; an adapter has a few.")
    if odd := oddly_packed(entries):
        raise AdapterUnusable(
            f"{_name(odd)} is packed in a way that is not read here. Pack it by the usual method (Deflate)."
        )
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
