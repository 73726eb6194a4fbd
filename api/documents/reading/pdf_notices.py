"""What could not be read of the pages of a PDF, and why."""

from collections.abc import Sequence

from api.documents.reading.lines import Line, Sheet
from api.documents.reading.plausible import is_disguised
from api.documents.reading.values import Notice, Unusable

FEW = 0.1
"""Of a page's characters; fewer of an unreadable font are formulas, signs and the like."""

RECOGNISE = (
    "Run a text recognition (OCR) over it first. The service does so itself where Tesseract is installed, unless "
    "LLM_FASTAPI_OCR is off."
)
RECOGNISED = "Tesseract found no text on the pages, or LLM_FASTAPI_OCR_SECONDS were over."


def leave_out_nonsense(sheets: Sequence[Sheet]) -> None:
    """Take the text off pages that are numbers of glyphs which look like text."""
    for sheet in sheets:
        if not sheet.unreadable and is_disguised(sheet.text):
            sheet.unreadable = len(sheet.text)
            sheet.lines = []


def unread(sheets: Sequence[Sheet]) -> list[Sheet]:
    """The pages of which pictures, or fonts without letters, keep something back."""
    return [sheet for sheet in sheets if sheet.is_picture or _is_unreadable(sheet)]


def readable_of(sheets: Sequence[Sheet], advice: str) -> list[Sheet]:
    """The pages that can be kept: with text, or empty. `Unusable` when none has text."""
    if not any(sheet.text.strip() or sheet.notes for sheet in sheets):
        raise _no_text(sheets, advice)
    return [sheet for sheet in sheets if sheet.text.strip() or not _is_unreadable(sheet)]


def notices_of(sheets: Sequence[Sheet], readable: Sequence[Sheet], advice: str) -> list[Notice]:
    """Pages in a font that cannot be read, pages that are pictures, notes that were added."""
    kept = {sheet.number for sheet in readable}
    whole = [sheet.number for sheet in sheets if sheet.number not in kept]
    partly = [sheet.number for sheet in readable if _is_unreadable(sheet)]
    pictures = [sheet.number for sheet in readable if sheet.is_picture]
    noted = [sheet.number for sheet in readable if _add_notes(sheet)]
    told = (
        (
            "unreadable_font",
            "The font does not say which letters these pages are written in, so they were left out. "
            + advice,
            whole,
        ),
        (
            "unreadable_font",
            "Some lines were left out: their font does not say which letters they are. " + advice,
            partly,
        ),
        (
            "page_without_text",
            "These pages are pictures, so what they say cannot be found. " + advice,
            pictures,
        ),
        (
            "recognised",
            "The text of these pages was read off pictures; some of it may be read wrong.",
            [sheet.number for sheet in readable if sheet.recognised],
        ),
        ("notes", "What notes say stands below the text of their pages.", noted),
    )
    return [Notice(code, detail, pages) for code, detail, pages in told if pages]


def _is_unreadable(sheet: Sheet) -> bool:
    return sheet.unreadable > FEW * (sheet.unreadable + len(sheet.text))


def _add_notes(sheet: Sheet) -> bool:
    """Put what notes say below the text of their page, unless it stands there."""
    present = " ".join(sheet.text.split())
    new = [note for note in dict.fromkeys(sheet.notes) if _words_of(note) not in present]
    for note in new:
        sheet.lines += [Line(""), *(Line(part) for part in note.split("\n"))]
    return bool(new)


def _words_of(note: str) -> str:
    return " ".join(note.partition(": ")[2].split())


def _no_text(sheets: Sequence[Sheet], advice: str) -> Unusable:
    if any(map(_is_unreadable, sheets)):
        return Unusable(
            "no_text",
            f"The fonts of the PDF do not say which letters they show, so it holds no text. {advice}",
        )
    return Unusable("no_text", f"The PDF holds no text; it may be a scan. {advice}")
