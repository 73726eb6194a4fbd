"""PDFs: the text of each page by PDFium, or by pypdf where PDFium fails or finds none."""

import re
import resource
from collections.abc import Callable
from contextlib import suppress

from api.documents.reading.text import clean, join_broken_words, opening_words
from api.documents.reading.values import (
    CPU_SECONDS,
    CPU_SECONDS_PER_PAGE,
    MAX_PAGE_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    ReadPage,
    Text,
    Unusable,
)

_NO_TITLE = re.compile(
    r"untitled|microsoft \w+ - |.*\.(docx?|pdf|indd|qxd|tex|pptx?|rtf|odt)$", re.I
)


def read(file: str, max_pages: int, max_characters: int, password: str = "") -> Text:
    """The text by the fast parser, or by the forgiving one when that fails or finds none."""
    failure = None
    for parse in (with_pdfium, with_pypdf):
        try:
            text = parse(file, max_pages, max_characters, password)
        except Unusable as error:
            if error.args[0] != "broken":
                raise
            failure = failure or error
            continue
        if any(page.text for page in text.pages):
            text.pages = join_broken_words(text.pages)
            text.title = text.title or opening_words(text.pages)[:MAX_TITLE_CHARACTERS]
            return text
        if text.pages:
            failure = Unusable(
                "no_text",
                "The PDF holds no text; it may be a scan. Run a text recognition (OCR) over it first.",
            )
    raise failure or Unusable("broken", "No page of the PDF can be read.")


def with_pdfium(file: str, max_pages: int, max_characters: int, password: str) -> Text:
    """Read with PDFium."""
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(file, password or None)
        count = len(pdf)
    except pypdfium2.PdfiumError as error:
        raise _locked(password) if "password" in str(error) else _broken() from error

    def page_text(index: int) -> str:
        page = pdf[index].get_textpage()
        if page.count_chars() > MAX_PAGE_CHARACTERS:
            raise too_much_text(index + 1)
        return str(page.get_text_range())

    title = ""
    with suppress(Exception):
        title = str(pdf.get_metadata_value("Title"))
    return collect(title, count, page_text, max_pages, max_characters)


def _locked(password: str) -> Unusable:
    if password:
        return Unusable("encrypted", "The `password` does not open the PDF.")
    return Unusable(
        "encrypted",
        "The PDF is protected by a password. Give it as `password`, or save the PDF without.",
    )


def _broken() -> Unusable:
    return Unusable("broken", "The file is damaged or no PDF: no parser can open it.")


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
    return collect(
        title, count, lambda index: pdf.pages[index].extract_text(), max_pages, max_characters
    )


def collect(
    title: str,
    count: int,
    page_text: Callable[[int], str],
    max_pages: int,
    max_characters: int,
) -> Text:
    """All pages with text; one that fails does not fail the document. The CPU time grows with their number."""
    if count > max_pages:
        raise Unusable("too_many_pages", f"The PDF has {count} pages; {max_pages} are allowed.")
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    seconds = CPU_SECONDS + int(count * CPU_SECONDS_PER_PAGE)
    resource.setrlimit(resource.RLIMIT_CPU, (min(seconds, most), most))
    pages, unreadable, characters = [], [], 0
    for number in range(1, count + 1):
        try:
            text = clean(page_text(number - 1))
        except (Unusable, MemoryError):
            raise
        except Exception:
            unreadable.append(number)
            continue
        characters += len(text)
        if len(text) > MAX_PAGE_CHARACTERS or characters > max_characters:
            raise too_much_text(number)
        pages.append(ReadPage(number, text))
    title = " ".join(clean(title).split())[:MAX_TITLE_CHARACTERS]
    return Text("" if _NO_TITLE.match(title) else title, pages, unreadable)


def too_much_text(number: int) -> Unusable:
    """The bound on characters."""
    return Unusable(
        "too_much_text", f"The PDF holds too much text (at page {number}). Split it into parts."
    )
