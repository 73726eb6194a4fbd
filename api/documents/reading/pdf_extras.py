"""What a PDF holds beside its pages: attached files, and forms that only one program shows."""

import ctypes
import re

import pypdfium2
import pypdfium2.raw as pdfium

from api.documents.reading.pdf_annotations import string_of
from api.documents.reading.values import Notice, Unusable

MOST_NAMED = 20
FEW_CHARACTERS = 1_500
_PLACEHOLDER = re.compile(
    r"If this message is not eventually replaced|"
    r"PDF viewer may not be able to display this type of document",
    re.I,
)


def attached(pdf: pypdfium2.PdfDocument) -> list[Notice]:
    """The names of attached files: they are documents of their own."""
    count = pdfium.FPDFDoc_GetAttachmentCount(pdf)
    if count < 1:
        return []
    named = ", ".join(_name(pdf, index) for index in range(min(count, MOST_NAMED)))
    more = f" and {count - MOST_NAMED} more" if count > MOST_NAMED else ""
    return [
        Notice(
            "attachments", f"Attached files were not read: {named}{more}. Import them on their own."
        )
    ]


def _name(pdf: pypdfium2.PdfDocument, index: int) -> str:
    attachment = pdfium.FPDFDoc_GetAttachment(pdf, index)
    name = string_of(
        lambda buffer, size: pdfium.FPDFAttachment_GetName(
            attachment, buffer and ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), size
        )
    )
    return " ".join(name.split())[:100] or "(without a name)"


def refuse_placeholder(pdf: pypdfium2.PdfDocument, text: str) -> None:
    """`Unusable` when the pages only say that another program is needed."""
    is_whole_form = pdf.get_formtype() == pdfium.FORMTYPE_XFA_FULL and len(text) < FEW_CHARACTERS
    if _PLACEHOLDER.search(" ".join(text.split())) or (
        is_whole_form and "please wait" in text.lower()
    ):
        raise Unusable(
            "xfa_form",
            "The PDF is an XFA form: its pages only say that another program is needed. Open it in Adobe Reader "
            "and print it to a new PDF.",
        )
