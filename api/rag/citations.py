"""Markers like [2] in an answer, checked: each becomes a quote that stands word for word on its page, or none.

And every sentence of the answer, cited or not: whether a cited passage says it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from api.rag.clauses import names_in
from api.rag.numbers import numbers
from api.rag.receipt import Citation, Unsupported
from api.rag.rectangles import place_of
from api.rag.support import Passage, lacking
from api.rag.words import content_words
from api.store.contents import Page

MAX_QUOTE = 320
FEWEST_WORDS = 3
"""Content words of a sentence that tells a fact."""

_MARKER = re.compile(r"\[(\d{1,4}(?:\s*[,;]\s*\d{1,4})*)\]")
_BETWEEN = re.compile(r"^[.,;:\s]*(?:and|or|&)$")
"""What stands between two markers of one sentence."""
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]\u201d\u2019]*\s+|\n\s*\n")
_OF_SOMETHING = re.compile(r"\W*(?:the|an?|our|your|each|all|no|it|its|they)\b", re.IGNORECASE)
"""How a statement begins that tells of something, however short it is."""
_WORD = re.compile(r"\w+(?:[.,:/-]\w+)*")


@dataclass(frozen=True, slots=True)
class Source:
    """A numbered passage of the prompt and the page it was cut from."""

    n: int
    document: str
    document_id: str
    heading: str
    text: str
    page: Page

    @property
    def passage(self) -> Passage:
        """What it can support."""
        return Passage(self.text, f"{self.heading} {self.document}")


@dataclass(frozen=True, slots=True)
class Checked:
    """The citations that hold, the markers that do not, and the sentences that no cited passage supports."""

    citations: tuple[Citation, ...] = ()
    unknown: tuple[int, ...] = ()
    unverified: tuple[int, ...] = ()
    unsupported: tuple[Unsupported, ...] = ()


class Statement(NamedTuple):
    """A sentence of the answer, and the numbers of the markers behind it."""

    text: str
    numbers: tuple[int, ...]


def check(answer: str, question: str, sources: Sequence[Source]) -> Checked:
    """Look up every marker of the answer; the quote is what best supports the statement before it."""
    by_number: Mapping[int, Source] = {source.n: source for source in sources}
    said = _statements(answer)
    cited = [
        by_number[n]
        for n in dict.fromkeys(n for one in said for n in one.numbers)
        if n in by_number
    ]
    citations: dict[Citation, None] = {}
    unsupported: dict[Unsupported, None] = {}
    unverified: dict[int, None] = {}
    for statement in said:
        own = [by_number[n] for n in statement.numbers if n in by_number]
        if why := _unsupported(statement, own, cited):
            unsupported[Unsupported(statement.text, why)] = None
        for source in own:
            if found := _quote(source, statement.text, question):
                citations[_citation(source, found, is_supported=not why)] = None
            else:
                unverified[source.n] = None
    unknown = (n for one in said for n in one.numbers if n not in by_number)
    return Checked(
        tuple(citations), tuple(dict.fromkeys(unknown)), tuple(unverified), tuple(unsupported)
    )


def _unsupported(statement: Statement, own: Sequence[Source], cited: Sequence[Source]) -> str:
    """What of a statement is lacking in the passages that it cites; one without markers may stand in any cited one."""
    sources = own if statement.numbers else cited
    if not content_words(statement.text) or (
        not statement.numbers and _is_phrase(statement.text, sources)
    ):
        return ""
    return lacking(statement.text, [one.passage for one in sources])


def _is_phrase(text: str, sources: Sequence[Source]) -> bool:
    """Whether a sentence tells no fact: `Sure!`, `I hope this helps!`. It has few words, and not only such as the
    passages have.
    """
    said = content_words(text)
    if len(said) >= FEWEST_WORDS or numbers(text) or names_in(text) or _OF_SOMETHING.match(text):
        return False
    return not sources or not said <= content_words(" ".join(one.text for one in sources))


def _citation(source: Source, found: re.Match[str], *, is_supported: bool) -> Citation:
    place = place_of(source.page.layout, found.start(), found.end())
    return Citation(
        n=source.n,
        document=source.document,
        document_id=source.document_id,
        page=source.page.number,
        label=source.page.label,
        quote=found[0],
        place=place,
        supported=is_supported,
    )


def without_markers(text: str) -> str:
    """The text as it reads without its markers."""
    return _MARKER.sub("", text)


def _statements(answer: str) -> list[Statement]:
    """Each sentence with its markers. Several of one sentence have the part before them each, and what follows a marker
    with no other one behind it is the marker's too: `According to [1], it costs 30 euros.`
    """
    found: list[Statement] = []
    start, has_ended = 0, False
    markers = list(_MARKER.finditer(answer))
    for at, marker in enumerate(markers):
        following = markers[at + 1].start() if at + 1 < len(markers) else len(answer)
        found += _uncited(answer[start : marker.start()])
        before, after = answer[start : marker.start()], answer[marker.end() : following]
        if re.search(r"\w", before):
            has_ended = _has_ended(before)
        opens = before.endswith("\n") and re.search(r"\w", _line_end(after))
        last = found.pop() if found and not opens else Statement("", ())
        cited = tuple(int(one) for one in re.split(r"\s*[,;]\s*", marker[1]))
        start = marker.end()
        rest = _line_end(after) if opens or not has_ended else ""
        is_whole = start + len(rest) < following or following == len(answer)
        if re.search(r"\w", rest) and (is_whole or not content_words(last.text)):
            start += len(rest)
        else:
            rest = ""
        found.append(Statement(_cut(last.text + rest), (*last.numbers, *cited)))
    return found + _uncited(answer[start:])


def _has_ended(before: str) -> bool:
    """Whether a marker stands behind the full stop of its sentence."""
    return before.rstrip(" \"')\u201d\u2019")[-1:] in {".", "!", "?"}


def _line_end(text: str) -> str:
    """What is left of a sentence that goes on here, up to the end of its line."""
    return _SENTENCE_END.split(text, maxsplit=1)[0].partition("\n")[0]


def _uncited(text: str) -> list[Statement]:
    text = _BETWEEN.sub("", text.strip()).lstrip(".,;: ")
    return [Statement(one, ()) for one in _sentences(text)] if text else []


def _quote(source: Source, statement: str, question: str) -> re.Match[str] | None:
    """The one or two neighbouring sentences of the passage that share most with the statement."""
    sentences = _sentences(source.text)
    stated, asked = _words(statement), _words(question)
    candidates = sentences + [" ".join(pair) for pair in pairwise(sentences)]

    def support(candidate: str) -> tuple[float, int]:
        words = _words(candidate)
        shared = sum(_weight(word) for word in words & stated)
        return shared + 0.25 * len(words & asked) - 0.05 * len(words), -len(words)

    for candidate in sorted(candidates, key=support, reverse=True):
        if found := _on_page(candidate, source.page.text):
            return found
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


def _on_page(sentence: str, page_text: str) -> re.Match[str] | None:
    """The sentence as it stands on the page, whatever its white space."""
    pattern = r"\s+".join(re.escape(word) for word in sentence.split())
    return re.search(pattern, page_text) if pattern else None


def _words(text: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in _WORD.findall(without_markers(text)))


def _weight(word: str) -> float:
    """Values and long words tell more than short ones."""
    if any(character.isdigit() for character in word):
        return 3.0
    return 1.0 if len(word) > 3 else 0.1
