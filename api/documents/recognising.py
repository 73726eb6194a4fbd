"""Which kind of document a file is: by its first bytes, a text by its name; the two must not contradict.

Nothing is parsed here but the list of parts of a ZIP file, within bounds: all else is the reader's, in its own process.
"""

import codecs
import struct
import zipfile
from typing import IO, BinaryIO

from api.errors import ApiError, UnsupportedMediaType, Unusable
from api.names import ENDINGS, document_ending
from api.zip_files import oddly_packed
from finetune.data.sniff import HEAD_BYTES, other_format

PDF_WITHIN_BYTES = 1024
"""Readers accept the `%PDF-` mark anywhere in the first 1,024 bytes (PDF 1.7, implementation note 13)."""
ZIP = b"PK\x03\x04"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""What Office files of before 2007 begin with, and newer ones that are behind a password."""
END_OF_ZIP = b"PK\x05\x06"
END_OF_ZIP_BYTES = 22
ZIP64 = b"PK\x06\x07"
ZIP64_BYTES = 20
"""Before the end, where other sizes hold than those that stand there."""
MAX_COMMENT_BYTES = 2**16
MAX_DIRECTORY_BYTES = 2**20
MAX_TYPES_BYTES = 2**20
MAIN_PARTS = {
    "docx": (b"wordprocessingml.document.main+xml", b"wordprocessingml.template.main+xml"),
    "pptx": (b"presentationml.presentation.main+xml", b"presentationml.slideshow.main+xml"),
    "xlsx": (b"spreadsheetml.sheet.main+xml", b"spreadsheetml.template.main+xml"),
}
MACRO_PARTS = {
    "docx": (b"ms-word.document.macroEnabled.main+xml",),
    "pptx": (b"ms-powerpoint.presentation.macroEnabled.main+xml",),
    "xlsx": (b"ms-excel.sheet.macroEnabled.main+xml",),
}
"""How `[Content_Types].xml` names the main part of each kind."""
TEXTS = frozenset({"txt", "md", "csv", "html"})
TITLES = {
    "pdf": "a PDF",
    "docx": "a Word document",
    "pptx": "a presentation",
    "xlsx": "a workbook",
    "html": "HTML",
    "md": "Markdown",
    "txt": "text",
    "csv": "CSV",
    "epub": "an EPUB",
}
WHAT_CAN_BE_IMPORTED = "Send a PDF, DOCX, PPTX, XLSX, HTML, Markdown, text, CSV or EPUB file"


def kind_of(source: BinaryIO, name: str) -> str:
    """The kind of a file of that name; `errors.UnsupportedMediaType` when it is none, or another than its name says."""
    source.seek(0)
    head = source.read(HEAD_BYTES)
    said = ENDINGS.get(document_ending(name), "")
    found = _by_content(source, head, name, said)
    if said and found != said:
        raise UnsupportedMediaType(
            f"{name!r} is {TITLES[found]}, not {TITLES[said]} as its name says. "
            "Send it under the ending that fits."
        )
    return found


def _by_content(source: BinaryIO, head: bytes, name: str, said: str) -> str:
    if head.startswith(ZIP):
        if kind := kind_in_zip(source, name):
            return kind
        raise UnsupportedMediaType(
            f"{name!r} is a ZIP file, and no DOCX, PPTX, XLSX or EPUB. "
            "Several documents in one ZIP file go to `POST /importDocuments`."
        )
    if head.startswith(OLE):
        raise UnsupportedMediaType(_old_office(name, said))
    if b"%PDF-" in head[: 5 if said in TEXTS else PDF_WITHIN_BYTES]:
        return "pdf"
    if head.startswith(b"{\\rtf"):
        raise UnsupportedMediaType(f"{name!r} is RTF. Save it as .docx or PDF and send that.")
    return _text(head, name, said)


def _text(head: bytes, name: str, said: str) -> str:
    """Any text is what its name says, and HTML also under none."""
    if not head.strip():
        raise UnsupportedMediaType(f"{name!r} is empty. {WHAT_CAN_BE_IMPORTED}.")
    what = other_format(head)
    looks_like_html = what == "HTML or XML"
    if what and not looks_like_html and not _is_text(head):
        raise UnsupportedMediaType(f"{name!r} is {what}. {WHAT_CAN_BE_IMPORTED}.")
    if said in TEXTS:
        return "html" if said == "csv" and looks_like_html else said
    if said:
        raise UnsupportedMediaType(
            f"{name!r} is not {TITLES[said]}: its first bytes say nothing of the kind."
        )
    if "." in name:
        raise UnsupportedMediaType(
            f"{name!r} has an ending that says nothing here. {WHAT_CAN_BE_IMPORTED}, or name it .txt."
        )
    return "html" if looks_like_html else "txt"


def _is_text(head: bytes) -> bool:
    """Whether it reads as Unicode, by whose rules nothing else does; what it begins with may be a word then."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    try:
        return "\0" not in codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False


def _old_office(name: str, said: str) -> str:
    if said in MAIN_PARTS:
        return f"{name!r} is protected by a password, or of before 2007. Save it anew without one as .{said}."
    return (
        f"{name!r} is a file of the old Office formats (.doc, .xls, .ppt), which are not read. "
        "Save it as .docx, .xlsx, .pptx or PDF and send that."
    )


def kind_in_zip(source: BinaryIO, name: str) -> str | None:
    """The kind of a document that is packed as a ZIP file; None for other ZIP files."""
    try:
        _require_small_directory(source, name)
        with zipfile.ZipFile(source) as archive:
            names = set(archive.namelist())
            mimetype = _beginning(archive, "mimetype") if "mimetype" in names else b""
            has_types = "[Content_Types].xml" in names
            types = _beginning(archive, "[Content_Types].xml") if has_types else b""
    except ApiError:
        raise
    except Exception as error:  # whatever a damaged file makes of its reader
        raise UnsupportedMediaType(
            f"{name!r} begins as a ZIP file (as DOCX, PPTX, XLSX and EPUB files do) and is damaged."
        ) from error
    if b"opendocument" in mimetype:
        raise UnsupportedMediaType(
            f"{name!r} is an OpenDocument file. Save it as .docx, .xlsx, .pptx or PDF and send that."
        )
    if b"epub" in mimetype:
        return "epub"
    for kind, parts in MAIN_PARTS.items():
        if any(part in types for part in (*parts, *MACRO_PARTS[kind])):
            return kind
    return None


def _beginning(archive: zipfile.ZipFile, name: str) -> bytes:
    with open_entry(archive, archive.getinfo(name)) as part:
        return part.read(MAX_TYPES_BYTES)


def open_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """An entry, to be read piece by piece; `errors.Unusable` when it could unfold to more than it is asked for."""
    if oddly_packed([info]):
        raise Unusable(
            f"{info.filename!r} is packed in the ZIP file in a way that is not read here. "
            "Pack it by the usual method (Deflate)."
        )
    return archive.open(info)


def _require_small_directory(source: BinaryIO, name: str) -> None:
    """The list of parts is read whole: it must be small, whatever the file says of itself."""
    size = source.seek(0, 2)
    source.seek(max(0, size - MAX_COMMENT_BYTES - END_OF_ZIP_BYTES - ZIP64_BYTES))
    tail = source.read()
    end = tail.rfind(END_OF_ZIP)
    if end < 0 or len(tail) < end + END_OF_ZIP_BYTES:
        raise zipfile.BadZipFile("no end")
    if tail[max(0, end - ZIP64_BYTES) : end].startswith(ZIP64):
        raise UnsupportedMediaType(
            f"{name!r} is a ZIP file of the form for more than 4 GiB (Zip64). Pack it anew as a usual one."
        )
    (directory_bytes,) = struct.unpack("<I", tail[end + 12 : end + 16])
    if directory_bytes > MAX_DIRECTORY_BYTES:
        raise UnsupportedMediaType(f"{name!r} is a ZIP file of too many parts to be a document.")
