"""Which format a file has, and in which encoding: told by its first bytes, whatever its name says."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from finetune.data.errors import DatasetError

Format = Literal["csv", "jsonl", "json", "parquet"]
HEAD_BYTES = 4096

_MAGIC = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"PK\x05\x06": "an empty ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file",
    b"ARROW1": "an Arrow file",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"SQLite format 3": "an SQLite database",
    b"GGUF": "a GGUF model",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself",
    b"\x89PNG": "an image",
    b"GIF8": "an image",
    b"\xff\xd8\xff": "an image",
    b"\x7fELF": "a program",
    b"MZ\x90": "a program",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
}
KNOWN = "CSV, JSON Lines, JSON or Parquet"


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What a file is; `encoding` is that of a text."""

    format: Format
    encoding: str


def sniff(path: Path, known: str = KNOWN) -> Sniffed:
    """Format and encoding: by byte order mark, else UTF-8. Raises `DatasetError` for what is no table, which names what
    is `known`.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(b"PAR1"):
        return Sniffed("parquet", "")
    if not head.strip():
        raise DatasetError("empty", "The file is empty.")
    if head[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        raise DatasetError("encoding", "The file is UTF-32. Save it as UTF-8.")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = head[: len(head) // 2 * 2].decode("utf-16", errors="replace")
        return Sniffed(_format_of(text), "utf-16")
    what = other_format(head)
    if what:
        raise DatasetError("no_dataset", f"The file is {what}. Send {known}.")
    if b"\0" in head:
        raise DatasetError(
            "encoding", "The file is UTF-16 without a byte order mark. Save it as UTF-8."
        )
    return Sniffed(_format_of(head.decode("utf-8-sig", errors="replace")), "utf-8-sig")


def _format_of(head: str) -> Format:
    """By what the text begins with: an object is the first line, a list of objects is one value."""
    text = head.lstrip()
    if text.startswith("["):
        return "json" if re.match(r"\[\s*[{\]]", text) or _is_json(text) else "csv"
    if text.startswith("{"):
        return "jsonl"
    return "csv"


def other_format(head: bytes) -> str | None:
    """What a file is that begins like this, where it is no table; None when nothing says so."""
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            return what
    if b"%PDF-" in head[:1024]:
        return "a PDF"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if re.match(rb"<(?:!|\?|html|head|body)", text, re.IGNORECASE):
        return "HTML or XML"
    nuls = head.count(0)
    one_sided = nuls in (head[::2].count(0), head[1::2].count(0))
    if nuls and not (one_sided and nuls > len(head) // 4):
        return "a binary file"
    controls = sum(byte < 32 and byte not in b"\t\n\v\f\r\x1b\0" for byte in head)
    return "a binary file" if controls * 20 > len(head) else None


def _is_json(text: str) -> bool:
    try:
        json.loads(text.partition("\n")[0])
    except (ValueError, RecursionError):
        return False
    return True
