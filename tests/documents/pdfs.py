"""Small PDFs made by the tests, good and bad ones."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pypdf
from fpdf import FPDF


def pdf(*pages: str, title: str = "") -> bytes:
    """A PDF with one text a page."""
    document = FPDF()
    document.set_creation_date(datetime(2026, 1, 1, tzinfo=UTC))
    if title:
        document.set_title(title)
    document.set_font("helvetica", size=11)
    for text in pages:
        document.add_page()
        document.multi_cell(0, 6, text)
    return bytes(document.output())


def handbook(sections: Sequence[tuple[str, str]], per_page: int = 4) -> bytes:
    """Pages of short sections: a heading, then one to three sentences."""
    texts = [f"{heading}\n{text}\n" for heading, text in sections]
    pages = ["\n".join(texts[at : at + per_page]) for at in range(0, len(texts), per_page)]
    return pdf(*pages, title="Staff handbook")


def encrypted(content: bytes, folder: Path, password: str) -> bytes:
    """The same PDF behind a password."""
    source, target = folder / "plain.pdf", folder / "locked.pdf"
    source.write_bytes(content)
    writer = pypdf.PdfWriter(clone_from=source)
    writer.encrypt(password)
    writer.write(target)
    return target.read_bytes()


def drawing_only() -> bytes:
    """A page with a line and no text."""
    document = FPDF()
    document.add_page()
    document.line(10, 10, 90, 90)
    return bytes(document.output())


def received(folder: Path, content: bytes) -> dict[str, Any]:
    """A file as an upload leaves it, as keyword arguments of `import_document`."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = sha256(content).hexdigest()
    file = folder / f"upload-{len(list(folder.iterdir()))}-{digest[:8]}"
    file.write_bytes(content)
    return {"file": file, "sha256": digest, "size_bytes": len(content)}
