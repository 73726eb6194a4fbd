"""Small PDFs made by the tests, good and bad ones."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pypdf
from fpdf import FPDF
from PIL import Image

from api.documents.receiving import Received


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


def drawn(*streams: str, fonts: str = "", page: str = "", objects: Sequence[bytes] = ()) -> bytes:
    """A PDF written by hand: a page a stream, with the fonts F (Helvetica) and those of `fonts`, and more entries in
    each `page`. The further `objects` have the numbers from 10 on.
    """
    pages = [11 + len(objects) + 2 * index for index in range(len(streams))]
    numbered: dict[int, bytes] = {
        1: b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[10 0 R]>>>>",
        2: b"<</Type/Pages/Count %d/Kids[%s]>>"
        % (len(pages), b" ".join(b"%d 0 R" % one for one in pages)),
        3: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    }
    numbered |= {10 + index: content for index, content in enumerate(objects)}
    resources = f"/Resources<</Font<</F 3 0 R{fonts}>>>>/MediaBox[0 0 600 800]{page}"
    for number, stream in zip(pages, streams, strict=True):
        numbered[number] = (
            f"<</Type/Page/Parent 2 0 R/Contents {number + 1} 0 R{resources}>>".encode()
        )
        numbered[number + 1] = b"<</Length %d>>stream\n%s\nendstream" % (
            len(stream.encode("latin-1")),
            stream.encode("latin-1"),
        )
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % pair for pair in numbered.items())
    return b"%PDF-1.7\n" + body + b"trailer<</Root 1 0 R/Size 999>>\n%%EOF"


def placed(*texts: tuple[float, float, str], font: str = "F", size: int = 10) -> str:
    """A stream that draws each text at its place, in this order."""
    return "".join(
        f"BT /{font} {size} Tf 1 0 0 1 {x} {y} Tm ({text}) Tj ET\n" for x, y, text in texts
    )


def picture() -> bytes:
    """A page with a grey picture and no text."""
    document = FPDF()
    document.add_page()
    document.image(Image.new("L", (60, 80), 128), 0, 0, 210, 297)
    return bytes(document.output())


def received(folder: Path, content: bytes, name: str, kind: str) -> Received:
    """A file as an upload leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = sha256(content).hexdigest()
    file = folder / f"upload-{len(list(folder.iterdir()))}-{digest[:8]}"
    file.write_bytes(content)
    return Received(file, name, digest, len(content), kind)
