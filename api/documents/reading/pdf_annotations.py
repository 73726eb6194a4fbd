"""What lies on a page: forms and drawn annotations become a part of it, notes are read."""

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from api.documents.reading.text import clean

MOST_NOTE_CHARACTERS = 20_000
MOST_ANNOTATIONS = 10_000
_NOT_DRAWN = {pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_TEXT, pdfium.FPDF_ANNOT_POPUP}
_NO_NOTE = {pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP, pdfium.FPDF_ANNOT_WIDGET}


def as_seen(
    pdf: pypdfium2.PdfDocument, index: int
) -> tuple[pypdfium2.PdfPage, list[str], list[str]]:
    """The page with the values of its forms, what its notes say, and the names of files that hang on it."""
    page = pdf[index]
    notes, files, is_drawn = [], [], False
    for kind, annotation in _annotations(page):
        is_drawn |= kind not in _NOT_DRAWN
        if kind == pdfium.FPDF_ANNOT_FILEATTACHMENT:
            files.append(file_name(pdfium.FPDFAnnot_GetFileAttachment(annotation)))
        if kind not in _NO_NOTE and (note := _note(annotation)):
            notes.append(note)
    if not is_drawn:
        return page, notes, files
    if pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY) != pdfium.FLATTEN_SUCCESS:
        return page, notes, files
    page.close()
    return pdf[index], notes, files  # PDFium shows it to who opens the page anew


def _annotations(page: pypdfium2.PdfPage) -> Iterator[tuple[int, Any]]:
    """The kind of each, and its handle as long as it is looked at."""
    for index in range(min(pdfium.FPDFPage_GetAnnotCount(page), MOST_ANNOTATIONS)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        if annotation:
            yield pdfium.FPDFAnnot_GetSubtype(annotation), annotation
            pdfium.FPDFPage_CloseAnnot(annotation)


def _note(annotation: Any) -> str:
    text = _value(annotation, b"Contents")
    if not text.strip():
        return ""
    author = " ".join(_value(annotation, b"T").split())
    return clean(f"Note ({author}): {text}" if author else f"Note: {text}")[:MOST_NOTE_CHARACTERS]


def _value(annotation: Any, key: bytes) -> str:
    return string_of(
        lambda buffer, size: pdfium.FPDFAnnot_GetStringValue(annotation, key, buffer, size)
    )


def file_name(attachment: Any) -> str:
    """Of an attached file."""
    name = string_of(lambda buffer, size: pdfium.FPDFAttachment_GetName(attachment, buffer, size))
    return " ".join(name.split())[:100] or "(without a name)"


def string_of(ask: Callable[[Any, int], int]) -> str:
    """A text of PDFium, which is asked for its length, then for itself."""
    size = ask(None, 0)
    if size <= 2:
        return ""
    buffer = (ctypes.c_ushort * (size // 2 + 1))()
    ask(buffer, size)
    return bytes(buffer)[: size - 2].decode("utf-16-le", "ignore")
