"""Is this file text at all, and in which encoding? Looks at its first bytes and refuses what is something else."""

import json
from pathlib import Path

from finetune.data.errors import DatasetError

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
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3": "an SQLite database",
    b"GGUF": "a GGUF model",
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


def encoding_of(path: Path) -> str:
    """The encoding by byte order mark, else UTF-8. Refuses what is no text."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.strip():
        raise DatasetError("empty", "The file is empty.")
    if head[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        raise DatasetError("encoding", "The file is UTF-32. Save it as UTF-8.")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    what = _what_else(head)
    if what:
        raise DatasetError("not_csv", f"The file is {what}, not a CSV with a 'messages' column.")
    if b"\0" in head:
        raise DatasetError(
            "encoding", "The file is UTF-16 without a byte order mark. Save it as UTF-8."
        )
    return "utf-8-sig"


def _what_else(head: bytes) -> str | None:
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            return what
    if b"%PDF-" in head[:1024]:
        return "a PDF"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        return "HTML or XML"
    first_line = text.partition(b"\n")[0].strip()
    if first_line in (b"{", b"[") or (first_line[:1] in (b"{", b"[") and _is_json(first_line)):
        return "JSON"
    nuls = head.count(0)
    one_sided = nuls in (head[::2].count(0), head[1::2].count(0))
    if nuls and not (one_sided and nuls > len(head) // 4):
        return "a binary file"
    controls = sum(byte < 32 and byte not in b"\t\n\v\f\r\x1b\0" for byte in head)
    return "a binary file" if controls * 20 > len(head) else None


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
