"""Plain text: its pages end at form feeds, else between paragraphs."""

import re

from api.documents.reading.decoding import decode, read_bytes
from api.documents.reading.sections import Pages
from api.documents.reading.text import opening_words
from api.documents.reading.values import MAX_PAGE_CHARACTERS, MAX_TITLE_CHARACTERS, Text

_PARAGRAPHS = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


def read(file: str, max_pages: int, max_characters: int) -> Text:
    """All of it."""
    text, notices = decode(read_bytes(file, max_characters))
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    printed = text.rstrip("\f\n ").split("\f")
    has_pages = len(printed) > 1
    pages = Pages(
        max_pages, max_characters, **({"page_characters": MAX_PAGE_CHARACTERS} if has_pages else {})
    )
    for page in printed:
        for paragraph in _PARAGRAPHS.split(page):
            pages.add(paragraph)
        if has_pages:
            pages.close(keep_empty=True)
    found = pages.all()
    return Text(opening_words(found)[:MAX_TITLE_CHARACTERS], found, [], notices)
