"""What a PDF holds beside its pages: attached files, and forms that only one program shows."""

import re
from collections.abc import Sequence

import pypdfium2
import pypdfium2.raw as pdfium

from api.documents.reading.pdf_annotations import file_name
from api.documents.reading.values import Notice, Unusable

MOST_NAMED = 20
FEW_CHARACTERS = 1_500
_PLACEHOLDER = re.compile(
    r"If this message is not eventually replaced|"
    r"PDF viewer may not be able to display this type of document",
    re.I,
)


def attached(pdf: pypdfium2.PdfDocument, on_pages: Sequence[str]) -> list[Notice]:
    """The names of attached files: they are documents of their own."""
    count = max(pdfium.FPDFDoc_GetAttachmentCount(pdf), 0)
    names = [
        *(
            file_name(pdfium.FPDFDoc_GetAttachment(pdf, index))
            for index in range(min(count, MOST_NAMED))
        ),
        *on_pages,
    ]
    if not names:
        return []
    more = max(count - MOST_NAMED, 0) + max(len(names) - MOST_NAMED, 0)
    named = ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more else "")
    return [
        Notice("attachments", f"Attached files were not read: {named}. Import them on their own.")
    ]


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
