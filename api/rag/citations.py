"""Markers like [2] in an answer, checked: each becomes a quote that stands word for word on its page, or none."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from api.rag.receipt import Citation

MAX_QUOTE = 320

_MARKER = re.compile(r"\[(\d{1,4}(?:\s*[,;]\s*\d{1,4})*)\]")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]\u201d\u2019]*\s+|\n\s*\n")
_WORD = re.compile(r"\w+(?:[.,:/-]\w+)*")


@dataclass(frozen=True, slots=True)
class Source:
    """A numbered passage of the prompt and the text of the page it was cut from."""

    n: int
    document: str
    document_id: str
    page: int
    text: str
    page_text: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """The citations that hold, and the markers that do not."""

    citations: tuple[Citation, ...] = ()
    unknown: tuple[int, ...] = ()
    unverified: tuple[int, ...] = ()


def check(answer: str, question: str, sources: Sequence[Source]) -> Checked:
    """Look up every marker of the answer; the quote is what best supports the statement before it."""
    by_number: Mapping[int, Source] = {source.n: source for source in sources}
    citations: dict[Citation, None] = {}
    unknown: dict[int, None] = {}
    unverified: dict[int, None] = {}
    for number, statement in _statements(answer):
        source = by_number.get(number)
        if source is None:
            unknown[number] = None
        elif quote := _quote(source, statement, question):
            citation = Citation(
                number, source.document, source.document_id, source.page, quote, source.label
            )
            citations[citation] = None
        else:
            unverified[number] = None
    return Checked(tuple(citations), tuple(unknown), tuple(unverified))


def without_markers(text: str) -> str:
    """The text as it reads without its markers."""
    return _MARKER.sub("", text)


def _statements(answer: str) -> Iterator[tuple[int, str]]:
    """Each marker's number with the sentence before it; markers side by side share one."""
    statement, start = "", 0
    for marker in _MARKER.finditer(answer):
        between = answer[start : marker.start()].strip().lstrip(".,;: ")
        if between:
            statement = _sentences(between)[-1]
        start = marker.end()
        for number in re.split(r"\s*[,;]\s*", marker[1]):
            yield int(number), statement


def _quote(source: Source, statement: str, question: str) -> str | None:
    """The one or two neighbouring sentences of the passage that share most with the statement."""
    sentences = _sentences(source.text)
    stated, asked = _words(statement), _words(question)
    candidates = sentences + [" ".join(pair) for pair in pairwise(sentences)]

    def support(candidate: str) -> tuple[float, int]:
        words = _words(candidate)
        shared = sum(_weight(word) for word in words & stated)
        return shared + 0.25 * len(words & asked) - 0.05 * len(words), -len(words)

    for candidate in sorted(candidates, key=support, reverse=True):
        if quote := _on_page(candidate, source.page_text):
            return quote
    return None


def _sentences(text: str) -> list[str]:
    """Sentences in order; what runs on without an end, like a table, is cut at its lines."""
    sentences = []
    for sentence in _SENTENCE_END.split(text):
        parts = [sentence] if len(sentence) <= MAX_QUOTE else sentence.splitlines()
        sentences += [_cut(part.strip()) for part in parts if part.strip()]
    return sentences or [""]


def _cut(text: str) -> str:
    return (
        text if len(text) <= MAX_QUOTE else text[:MAX_QUOTE].rpartition(" ")[0] or text[:MAX_QUOTE]
    )


def _on_page(sentence: str, page_text: str) -> str | None:
    """The sentence as it stands on the page, whatever its white space."""
    pattern = r"\s+".join(re.escape(word) for word in sentence.split())
    found = re.search(pattern, page_text) if pattern else None
    return found[0] if found else None


def _words(text: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in _WORD.findall(without_markers(text)))


def _weight(word: str) -> float:
    """Values and long words tell more than short ones."""
    if any(character.isdigit() for character in word):
        return 3.0
    return 1.0 if len(word) > 3 else 0.1
