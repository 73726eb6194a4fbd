"""Markdown: rendered, and then read as HTML is."""

import re

from api.documents.reading.decoding import decode, read_bytes
from api.documents.reading.html import read_text
from api.documents.reading.values import Text

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.{0,20000}?)\n(?:---|\.\.\.)[ \t]*\n", re.DOTALL)
_TITLE = re.compile(r"^title:[ \t]*(.+)$", re.MULTILINE | re.IGNORECASE)


def read(file: str, max_pages: int, max_characters: int) -> Text:
    """CommonMark with tables; what stands before it as YAML gives its title alone."""
    from markdown_it import MarkdownIt

    raw, notices = decode(read_bytes(file, max_characters))
    raw = raw.replace("\r\n", "\n")
    title = ""
    if front := _FRONT_MATTER.match(raw):
        told = _TITLE.search(front[1])
        title = told[1].strip(" \"'") if told else ""
        raw = raw[front.end() :]
    rendered = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(raw)
    found = read_text(rendered, max_pages, max_characters)
    found.title = title or found.title
    found.notices = notices + found.notices
    return found
