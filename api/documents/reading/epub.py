"""EPUB: the chapters in the order of the book; each begins a page, and its headings do as in HTML."""

from typing import Any
from urllib.parse import unquote

from api.documents.reading.html import Shown
from api.documents.reading.package import Package, broken, parsed, resolved
from api.documents.reading.sections import Pages
from api.documents.reading.values import MAX_TITLE_CHARACTERS, Notice, Text, Unusable

CONTAINER = "{urn:oasis:names:tc:opendocument:xmlns:container}"
OPF = "{http://www.idpf.org/2007/opf}"
DC = "{http://purl.org/dc/elements/1.1/}"
ENCRYPTED = "{http://www.w3.org/2001/04/xmlenc#}EncryptionMethod"
OF_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
CHAPTERS = frozenset({"application/xhtml+xml", "text/html", "text/x-oeb1-document"})


def read(file: str, max_pages: int, max_characters: int) -> Text:
    """The book."""
    package = Package(file)
    _require_readable(package)
    name = _book(package)
    book = package.xml(name)
    if book is None:
        raise broken()
    items = {one.get("id"): one for one in book.iterfind(f"{OPF}manifest/{OPF}item")}
    shown, missing = Shown(Pages(max_pages, max_characters)), []
    for one in book.iterfind(f"{OPF}spine/{OPF}itemref"):
        item = items.get(one.get("idref"))
        if item is None or item.get("media-type") not in CHAPTERS or _is_of_contents(item):
            continue
        chapter = resolved(name, unquote(str(item.get("href")).partition("#")[0]))
        raw = package.read(chapter)
        if raw is None:
            missing.append(chapter)
            continue
        shown.pages.part("")
        shown.add_chapter(raw)
    notices = shown.notices()
    if missing:
        detail = f"Chapters that the book names and does not hold: {', '.join(missing[:10])}."
        notices.append(Notice("missing", detail))
    pages = shown.pages.all()
    title = " ".join((book.findtext(f"{OPF}metadata/{DC}title") or "").split())
    return Text((title or shown.first_heading)[:MAX_TITLE_CHARACTERS], pages, [], notices)


def _book(package: Package) -> str:
    tree = package.xml("META-INF/container.xml")
    file = tree.find(f".//{CONTAINER}rootfile") if tree is not None else None
    if file is None:
        raise broken()
    return resolved("", str(file.get("full-path")))


def _is_of_contents(item: Any) -> bool:
    """The table of contents says nothing that the chapters do not."""
    return "nav" in str(item.get("properties") or "").split()


def _require_readable(package: Package) -> None:
    """Books that are sold are often encrypted; fonts alone may be."""
    raw = package.read("META-INF/encryption.xml")
    if raw is None:
        return
    methods = {one.get("Algorithm") for one in parsed(raw).iter(ENCRYPTED)}
    if not methods <= set(OF_FONTS):
        raise Unusable(
            "encrypted", "The book is protected (DRM); who sells it keeps its text from being read."
        )
