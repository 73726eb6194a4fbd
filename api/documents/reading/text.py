"""Text as it can be stored and read: characters that every store takes, words that were broken put together."""

import re
from collections.abc import Iterator
from dataclasses import replace

from api.documents.reading.values import MAX_TITLE_CHARACTERS, ReadPage

_CONTROLS = re.compile(r"[\x00-\x01\x03-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BROKEN_WORD = re.compile(r"([\w-]*)[ ]?[\x02\ufffe]\s*([\w-]*)")


def clean(text: str) -> str:
    """Text that can be stored and shown anywhere: no NUL, no lone surrogate, lines end in a line feed."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    lines = _CONTROLS.sub(" ", whole.replace("\r\n", "\n").replace("\r", "\n")).replace("\t", " ")
    return "\n".join(line.rstrip() for line in lines.split("\n")).strip("\n")


def join_broken_words(pages: list[ReadPage]) -> list[ReadPage]:
    """Put words together that end a line with a hyphen, with the hyphen where the document writes it so."""
    if not any("\x02" in page.text or "\ufffe" in page.text for page in pages):
        return pages
    words = {word.lower() for page in pages for word in _words(page.text)}

    def join(match: re.Match[str]) -> str:
        left, right = match.groups()
        whole, compound = f"{left}{right}".lower(), f"{left}-{right}".lower()
        parts_are_words = left.lower() in words and right.lower() in words
        hyphen = whole not in words and (compound in words or parts_are_words)
        return f"{left}-{right}" if hyphen and left and right else f"{left}{right}"

    return [replace(page, text=_BROKEN_WORD.sub(join, page.text)) for page in pages]


def _words(text: str) -> Iterator[str]:
    for match in re.finditer(r"(?<![\x02\ufffe\w-])[\w-]+(?![\x02\ufffe\w-])", text):
        yield match[0]
        if "-" in match[0]:
            yield from match[0].split("-")


def opening_words(pages: list[ReadPage]) -> str:
    """A title for a document that has none: all of a short first page, else its first line."""
    text = next(page.text for page in pages if page.text)
    whole = " ".join(text.split())
    return whole if len(whole) <= MAX_TITLE_CHARACTERS // 2 else text.strip().split("\n")[0].strip()
