"""PDFs: each page by PDFium, or by pypdf where PDFium cannot open the file or finds no text in it."""

import re
import resource
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from api.documents.reading.hyphens import join_broken_words
from api.documents.reading.lines import Line, Sheet, page_of
from api.documents.reading.ocr import Failed, Recogniser, recognise
from api.documents.reading.pdf_notices import (
    RECOGNISE,
    RECOGNISED,
    leave_out_nonsense,
    notices_of,
    readable_of,
    unread,
)
from api.documents.reading.period_tables import name_columns
from api.documents.reading.plausible import is_private
from api.documents.reading.reading_order import in_reading_order
from api.documents.reading.running_lines import leave_out_running_lines
from api.documents.reading.text import clean, opening_words
from api.documents.reading.values import (
    CPU_SECONDS,
    CPU_SECONDS_PER_PAGE,
    MAX_PAGE_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    Notice,
    Text,
    Unusable,
)

_NO_TITLE = re.compile(
    r"untitled|microsoft \w+ - |.*\.(docx?|pdf|indd|qxd|tex|pptx?|rtf|odt)$", re.I
)


def read(
    file: str,
    max_pages: int,
    max_characters: int,
    password: str = "",
    *,
    recogniser: Recogniser | None = None,
    heads_in_rows: bool = False,
) -> Text:
    """The text by the fast parser, or by the forgiving one when that fails or finds none. What pictures say is read if
    there is a recogniser; and rows of tables can have the heads of their columns.
    """
    failure = None
    pdfium = partial(with_pdfium, recogniser=recogniser, heads_in_rows=heads_in_rows)
    for parse in (pdfium, with_pypdf):
        try:
            return parse(file, max_pages, max_characters, password)
        except Unusable as error:
            if error.args[0] not in {"broken", "no_text"}:
                raise
            failure = failure or error
    raise failure or Unusable("broken", "No page of the PDF can be read.")


def with_pdfium(
    file: str,
    max_pages: int,
    max_characters: int,
    password: str,
    *,
    recogniser: Recogniser | None,
    heads_in_rows: bool,
) -> Text:
    """Read with PDFium."""
    import pypdfium2

    from api.documents.reading.outline import name_pages
    from api.documents.reading.pdf_extras import attached, refuse_placeholder
    from api.documents.reading.pdfium_page import sheet_of

    try:
        pdf = pypdfium2.PdfDocument(file, password or None)
        pdf.init_forms()
        count = len(pdf)
    except pypdfium2.PdfiumError as error:
        raise _locked(password) if "password" in str(error) else _broken() from error
    title = ""
    with suppress(Exception):
        title = str(pdf.get_metadata_value("Title"))
    sheets, unreadable = collect(
        count, lambda index: sheet_of(pdf, index), max_pages, max_characters
    )
    refuse_placeholder(pdf, "\n".join(sheet.text for sheet in sheets[:2]))
    leave_out_nonsense(sheets)
    for sheet in sheets if heads_in_rows else ():
        name_columns(sheet.lines)
    extra = attached(pdf, [name for sheet in sheets for name in sheet.files])
    advice = RECOGNISE
    if recogniser and (wanting := unread(sheets)):
        advice = RECOGNISED
        try:
            recognise(pdf, wanting, recogniser)
        except Failed as error:
            advice = f"Tesseract cannot read them: {error} See LLM_FASTAPI_OCR_LANGUAGES."
    text = text_of(title, sheets, unreadable, extra, advice)
    with suppress(Exception):
        name_pages(pdf, text.pages)
    return text


def with_pypdf(file: str, max_pages: int, max_characters: int, password: str) -> Text:
    """Read with pypdf: slower, and it forgives more."""
    import pypdf

    try:
        pdf = pypdf.PdfReader(file)
        if pdf.is_encrypted and not pdf.decrypt(password):
            raise _locked(password)
        count = len(pdf.pages)
    except (Unusable, MemoryError):
        raise
    except Exception as error:
        raise _broken() from error
    title = ""
    with suppress(Exception):
        title = str((pdf.metadata and pdf.metadata.title) or "")

    def sheet_of(index: int) -> Sheet:
        text = clean(pdf.pages[index].extract_text())
        if is_private(text):
            return Sheet(index + 1, [], unreadable=len(text))
        return Sheet(index + 1, [Line(line) for line in text.split("\n")])

    sheets, unreadable = collect(count, sheet_of, max_pages, max_characters)
    leave_out_nonsense(sheets)
    return text_of(title, sheets, unreadable, [], RECOGNISE)


def _locked(password: str) -> Unusable:
    if password:
        return Unusable("encrypted", "The `password` does not open the PDF.")
    return Unusable(
        "encrypted",
        "The PDF is protected by a password. Give it as `password`, or save the PDF without.",
    )


def _broken() -> Unusable:
    return Unusable("broken", "The file is damaged or no PDF: no parser can open it.")


def collect(
    count: int, sheet_of: Callable[[int], Sheet], max_pages: int, max_characters: int
) -> tuple[list[Sheet], list[int]]:
    """All pages, and the numbers of those that failed: one does not fail the document. The CPU time grows with their
    number.
    """
    if count > max_pages:
        raise Unusable("too_many_pages", f"The PDF has {count} pages; {max_pages} are allowed.")
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    seconds = CPU_SECONDS + int(count * CPU_SECONDS_PER_PAGE)
    resource.setrlimit(resource.RLIMIT_CPU, (min(seconds, most), most))
    sheets, unreadable, characters = [], [], 0
    for number in range(1, count + 1):
        try:
            sheet = sheet_of(number - 1)
        except (Unusable, MemoryError):
            raise
        except Exception:
            unreadable.append(number)
            continue
        length = sum(len(line.text) + 1 for line in sheet.lines)
        characters += length
        if length > MAX_PAGE_CHARACTERS or characters > max_characters:
            raise too_much_text(number)
        sheet.lines = in_reading_order(sheet.lines)
        sheets.append(sheet)
    return sheets, unreadable


def too_much_text(number: int) -> Unusable:
    """The bound on characters."""
    return Unusable(
        "too_much_text", f"The PDF holds too much text (at page {number}). Split it into parts."
    )


def text_of(
    title: str, sheets: list[Sheet], unreadable: list[int], extra: list[Notice], advice: str
) -> Text:
    """What the pages say, without what repeats or makes no sense; `Unusable` when there is nothing."""
    if not sheets:
        raise Unusable("broken", "No page of the PDF can be read.")
    readable = readable_of(sheets, advice)
    notices = leave_out_running_lines(readable)
    join_broken_words([sheet.lines for sheet in readable])
    notices += notices_of(sheets, readable, advice)
    pages = [page_of(sheet) for sheet in readable]
    title = " ".join(clean(title).split())[:MAX_TITLE_CHARACTERS]
    if _NO_TITLE.match(title):
        title = ""
    title = title or opening_words(pages)[:MAX_TITLE_CHARACTERS]
    left_out = {sheet.number for sheet in sheets} - {sheet.number for sheet in readable}
    return Text(title, pages, sorted({*unreadable, *left_out}), notices + extra)
