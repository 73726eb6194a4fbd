"""The process that parses one PDF: run by path, with limits, in an environment that holds nothing.

    python -I extract_child.py FILE MAX_PAGES MAX_CHARACTERS

It writes one JSON object: the pages, or a reason and a detail. A parser that breaks a limit ends this process; whoever
started it reads the reason from the way it ended.
"""

import json
import os
import re
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

CPU_SECONDS = 20
CPU_SECONDS_PER_PAGE = 0.1
MAX_PAGE_CHARACTERS = 1_000_000
MAX_TITLE_CHARACTERS = 200

_CONTROLS = re.compile(r"[\x00-\x01\x03-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BROKEN_WORD = re.compile(r"([\w-]*)[ ]?[\x02\ufffe]\s*([\w-]*)")
_NO_TITLE = re.compile(
    r"untitled|microsoft \w+ - |.*\.(docx?|pdf|indd|qxd|tex|pptx?|rtf|odt)$", re.I
)


class Unusable(Exception):
    """The file cannot be used: a reason and a detail."""


@dataclass
class Text:
    """What a parser found; a page's number beside its text."""

    title: str
    pages: list[tuple[int, str]]
    unreadable: list[int]


def main() -> None:
    """Parse the file named on the command line."""
    file, pages, characters = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    try:
        answer = vars(read(file, pages, characters))
    except Unusable as error:
        answer = {"reason": error.args[0], "detail": error.args[1]}
    except MemoryError:
        answer = {"reason": "too_much_memory", "detail": ""}
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode())
    sys.stdout.buffer.flush()
    os._exit(0)  # a parser's own clean-up after a hostile file is not worth the risk


def read(file: str, max_pages: int, max_characters: int) -> Text:
    """The text by the fast parser, or by the forgiving one when that fails or finds none."""
    failure = None
    for parse in (with_pdfium, with_pypdf):
        try:
            text = parse(file, max_pages, max_characters)
        except Unusable as error:
            if error.args[0] != "broken":
                raise
            failure = failure or error
            continue
        if any(page for _, page in text.pages):
            text.pages = join_broken_words(text.pages)
            text.title = text.title or opening_words(text.pages)[:MAX_TITLE_CHARACTERS]
            return text
        if text.pages:
            failure = Unusable(
                "no_text",
                "The PDF holds no text; it may be a scan. Run a text recognition (OCR) over it first.",
            )
    raise failure or Unusable("broken", "No page of the PDF can be read.")


def with_pdfium(file: str, max_pages: int, max_characters: int) -> Text:
    """Read with PDFium."""
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(file)
        count = len(pdf)
    except pypdfium2.PdfiumError as error:
        raise _pdfium_reason(str(error)) from error

    def page_text(index: int) -> str:
        page = pdf[index].get_textpage()
        if page.count_chars() > MAX_PAGE_CHARACTERS:
            raise too_much_text(index + 1)
        return str(page.get_text_range())

    title = ""
    with suppress(Exception):
        title = str(pdf.get_metadata_value("Title"))
    return collect(title, count, page_text, max_pages, max_characters)


def _pdfium_reason(text: str) -> Unusable:
    if "password" in text:
        return Unusable("encrypted", "The PDF is protected by a password. Save it without one.")
    return Unusable("broken", "The file is damaged or no PDF: no parser can open it.")


def with_pypdf(file: str, max_pages: int, max_characters: int) -> Text:
    """Read with pypdf: slower, and it forgives more."""
    import pypdf

    try:
        pdf = pypdf.PdfReader(file)
        if pdf.is_encrypted and not pdf.decrypt(""):
            raise _pdfium_reason("password")
        count = len(pdf.pages)
    except (Unusable, MemoryError):
        raise
    except Exception as error:
        raise _pdfium_reason("") from error
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
        pages.append((number, text))
    title = " ".join(clean(title).split())[:MAX_TITLE_CHARACTERS]
    return Text("" if _NO_TITLE.match(title) else title, pages, unreadable)


def too_much_text(number: int) -> Unusable:
    """The bound on characters."""
    return Unusable(
        "too_much_text", f"The PDF holds too much text (at page {number}). Split it into parts."
    )


def clean(text: str) -> str:
    """Text that can be stored and shown anywhere: no NUL, no lone surrogate, lines end in a line feed."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    lines = _CONTROLS.sub(" ", whole.replace("\r\n", "\n").replace("\r", "\n")).replace("\t", " ")
    return "\n".join(line.rstrip() for line in lines.split("\n")).strip("\n")


def join_broken_words(pages: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Put words together that end a line with a hyphen, with the hyphen where the document writes it so."""
    if not any("\x02" in text or "\ufffe" in text for _, text in pages):
        return pages
    words = {word.lower() for _, text in pages for word in _words(text)}

    def join(match: re.Match[str]) -> str:
        left, right = match.groups()
        whole, compound = f"{left}{right}".lower(), f"{left}-{right}".lower()
        parts_are_words = left.lower() in words and right.lower() in words
        hyphen = whole not in words and (compound in words or parts_are_words)
        return f"{left}-{right}" if hyphen and left and right else f"{left}{right}"

    return [(number, _BROKEN_WORD.sub(join, text)) for number, text in pages]


def _words(text: str) -> Iterator[str]:
    for match in re.finditer(r"(?<![\x02\ufffe\w-])[\w-]+(?![\x02\ufffe\w-])", text):
        yield match[0]
        if "-" in match[0]:
            yield from match[0].split("-")


def opening_words(pages: list[tuple[int, str]]) -> str:
    """A title for a document that has none: all of a short first page, else its first line."""
    text = next(text for _, text in pages if text)
    whole = " ".join(text.split())
    return whole if len(whole) <= MAX_TITLE_CHARACTERS // 2 else text.strip().split("\n")[0].strip()


if __name__ == "__main__":
    main()
