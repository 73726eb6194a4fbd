"""The libraries that are searched: folders of PDFs or passages, with questions and the pages that answer them."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.documents.reading.pdf import read
from api.store.contents import Page

Place = tuple[str, int]
"""A document and one of its pages."""

MOST_PAGES, MOST_CHARACTERS = 10_000, 100_000_000
TRUTH = re.compile(r"\[([^\[\]#]+\.pdf)#page=(\d+)\]")


@dataclass(frozen=True)
class Question:
    """What is asked, and the pages of which each answers it. Figures are told by `kind`."""

    text: str
    kind: str
    pages: frozenset[Place]


@dataclass(frozen=True)
class Document:
    """A document as it was read."""

    title: str
    pages: Sequence[Page]
    language: str = "en"


@dataclass(frozen=True)
class Library:
    """Documents that are searched together."""

    name: str
    documents: Mapping[str, Document]
    questions: list[Question] = field(default_factory=list)


def libraries(folder: Path, cache: Path) -> Iterator[Library]:
    """Whatever the folder holds: libraries each in a folder of its own, PDFs with questions, or passages."""
    if (folder / "questions.jsonl").exists() and list(folder.glob("*.pdf")):
        yield _with_truths(folder, cache)
    elif (folder / "questions.jsonl").exists():
        yield from _of_folders(folder, cache)
    else:
        yield from _squad(folder)
        yield from _cranfield(folder)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _with_truths(folder: Path, cache: Path) -> Library:
    """Questions whose `truth` cites its page; those that cite none cannot be judged by pages."""
    library = Library(folder.name, _pdfs(folder, cache))
    for row in _lines(folder / "questions.jsonl"):
        cited = frozenset((name, int(page)) for name, page in TRUTH.findall(row["truth"]))
        if cited:
            library.questions.append(Question(row["question"], folder.name, cited))
    return library


def _of_folders(folder: Path, cache: Path) -> Iterator[Library]:
    rows = list(_lines(folder / "questions.jsonl"))
    for name in dict.fromkeys(row["library"] for row in rows):
        passages = folder / name / "passages.jsonl"
        documents = _passages(passages) if passages.exists() else _pdfs(folder / name, cache)
        library = Library(name, documents)
        for row in (row for row in rows if row["library"] == name):
            pairs = row.get("relevant") or [(row["document"], page) for page in row["pages"]]
            pages = frozenset((document, int(page)) for document, page in pairs)
            kind = f"{name}, other language" if row.get("language") else name
            library.questions.append(Question(row["question"], kind, pages))
        yield library


def _pdfs(folder: Path, cache: Path) -> dict[str, Document]:
    return {path.name: _pdf(path, cache) for path in sorted(folder.glob("*.pdf"))}


def _pdf(path: Path, cache: Path) -> Document:
    kept = cache / "pages" / f"{path.stem}-{path.stat().st_size}.json"
    if not kept.exists():
        found = read(str(path), MOST_PAGES, MOST_CHARACTERS)
        pages = [(page.number, page.text) for page in found.pages]
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({"title": found.title, "pages": pages}))
    read_before = json.loads(kept.read_text())
    return Document(read_before["title"], [Page(*page) for page in read_before["pages"]])


def _passages(path: Path) -> dict[str, Document]:
    pages: dict[str, list[Page]] = {}
    for row in _lines(path):
        pages.setdefault(row["document"], []).append(Page(row["page"], row["text"]))
    return {name: Document("", found) for name, found in pages.items()}


def _squad(folder: Path) -> Iterator[Library]:
    """Passages of articles, a page each; every fourth question, since their passages are few."""
    for path in sorted(folder.glob("*.en.json")):
        documents, questions = {}, []
        for article in json.loads(path.read_text())["data"]:
            name = f"{article['title']}.pdf"
            passages = list(enumerate(article["paragraphs"], 1))
            documents[name] = Document("", [Page(n, one["context"]) for n, one in passages])
            for number, passage in passages:
                place = frozenset([(name, number)])
                questions += [
                    Question(asked["question"], "squad", place) for asked in passage["qas"]
                ]
        yield Library("squad", documents, questions[::4])


def _cranfield(folder: Path) -> Iterator[Library]:
    """Abstracts, 200 of them a document; every second question."""
    texts, queries = folder / "cran.all.1400.xml", folder / "cran.qry.xml"
    if not texts.exists():
        return
    places: dict[str, Place] = {}
    pages: dict[str, list[Page]] = {}
    for at, found in enumerate(re.findall(r"<doc>.*?</doc>", texts.read_text(), re.S)):
        number, text = (
            re.search(f"<{tag}>(.*?)</{tag}>", found, re.S) for tag in ("docno", "text")
        )
        if number and text:
            name = f"abstracts-{at // 200 + 1}.pdf"
            places[number[1].strip()] = (name, at % 200 + 1)
            pages.setdefault(name, []).append(Page(at % 200 + 1, text[1].strip()))
    relevant: dict[int, set[Place]] = {}
    for line in (folder / "cranqrel.trec.txt").read_text().splitlines():
        query, _, number, grade = line.split()
        if int(grade) > 0 and number in places:
            relevant.setdefault(int(query), set()).add(places[number])
    asked = ET.fromstring(queries.read_text()).iter("title")  # noqa: S314  a file of one's own
    questions = [
        Question(" ".join((title.text or "").split()), "cranfield", frozenset(relevant[at]))
        for at, title in enumerate(asked, 1)
        if at in relevant
    ]
    documents = {name: Document("", found) for name, found in pages.items()}
    yield Library("cranfield", documents, questions[::2])
