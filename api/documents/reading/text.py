"""Text as it can be stored and read: characters that every store takes, and a title of it."""

import re

from api.documents.reading.values import MAX_TITLE_CHARACTERS, ReadPage

_CONTROLS = re.compile(r"[\x00-\x01\x03-\x08\x0b\x0c\x0e-\x1f\x7f]")


def clean(text: str) -> str:
    """Text that can be stored and shown anywhere: no NUL, no lone surrogate, lines end in a line feed."""
    if text.isprintable():
        return text.rstrip()
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    lines = _CONTROLS.sub(" ", whole.replace("\r\n", "\n").replace("\r", "\n")).replace("\t", " ")
    return "\n".join(line.rstrip() for line in lines.split("\n")).strip("\n")


def opening_words(pages: list[ReadPage]) -> str:
    """A title for a document that has none: all of a short first page, else its first line."""
    text = next((page.text for page in pages if page.text.strip()), "")
    whole = " ".join(text.split())
    return whole if len(whole) <= MAX_TITLE_CHARACTERS // 2 else text.strip().split("\n")[0].strip()
