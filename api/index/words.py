"""Text as the words that it is found by: one analysis for what is indexed and for what is asked.

A word is normalised (Unicode NFKC, case folded) and stemmed by the language of its document; a word with accents is
also kept without them, so that either spelling finds it and the same spelling counts more. Scripts that write no
spaces are cut into pairs of characters, and what is written with hyphens, points or slashes is found whole and in
parts: `10-K` by `10-K`, `10K` and `K`. Every language's stems are terms of their own (`de:haus`), since the language
of a question is not known: it is read in each language that occurs.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from tantivy import Filter, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

STEMMERS = {
    "ar": "arabic",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hu": "hungarian",
    "it": "italian",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
}
"""Languages whose words are stemmed, each under the name of its stemmer."""
UNSTEMMED = "-"
"""Stands for every other language."""
_FOREIGN = {"ar", "el", "ru", "ta", UNSTEMMED}
"""In these a word in plain Latin letters is a name or a term of the trade, and read as English."""

FOLDED = 0.8
"""What a word counts that is written with other accents, against one that is written the same."""
LONGEST = 64
"""Characters of a word that count."""
MOST_PIECES = 100_000
"""Pieces of text whose words are remembered, a few hundred bytes each at most, in all languages together."""

_PAIRED = (
    "\u0e01-\u0e4e\u0e80-\u0ece\u1000-\u109f\u1780-\u17d3"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3041-\u3096\u3099-\u309f\u30a1-\u30ff\u31f0-\u31ff"  # Japanese syllables
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"  # Han, Hangul
)
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06ed\u0900-\u0963\u0966-\u0dff"  # with the scripts of India, whose vowels are marks
)
_CHARACTERS = f"[\\w{_MARKS}{_PAIRED}]+"
_COMPOUND = re.compile(f"{_CHARACTERS}(?:[-.,/:&]{_CHARACTERS})*")
_PARTS = re.compile(f"[{_PAIRED}]+|[^{_PAIRED}]+")
_IS_PAIRED = re.compile(f"[{_PAIRED}]")
_BROKEN_LINE = re.compile(f"(?<=[{_PAIRED}])\n(?=[{_PAIRED}])")
_JOINT = re.compile(r"[-.,/:&]")
_HYPHENS_ONLY = re.compile(r"[^.,/:]+")
_INITIALS = re.compile(r"\w(\.\w)+")
_NUMBER = re.compile(r"(\d{1,3}(?:[.,]\d{3})+|\d+)(?:[.,](\d+))?")
_LETTERS_AND_DIGITS = re.compile(r"([^\W\d]{2,})(\d{2,})|(\d{2,})([^\W\d]{2,})")
_HAS_DIGIT = re.compile(r"\d")
_ACCENTS = re.compile(r"[\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u0640\u064b-\u065f\u0670]")
_WRITTEN_OUT = re.compile(r"([aou])e")  # Mueller for Müller

_NOTHING = dict.fromkeys(map(ord, "\u00ad\u200c\u200d\u2060\ufeff\u0640"))
_SPACES = dict.fromkeys(map(ord, "\u200b\u00b9\u00b2\u00b3\u2070™®©ªº"), " ")
_SPACES |= dict.fromkeys(
    range(0x2074, 0x207A), " "
)  # raised figures are notes, no part of the word
_PLAIN = (
    dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d_"), "-") | _NOTHING | _SPACES
)
_LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ı": "i"}
)
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


@dataclass(frozen=True, slots=True)
class Word:
    """A word that is asked for: the terms that stand for it, and what each counts against the same spelling."""

    text: str
    forms: tuple[tuple[str, float], ...]


class Terms(dict[str, str]):
    """The terms of each piece of text between spaces, in one group of languages; it fills itself."""

    def __init__(self, group: str) -> None:
        super().__init__()
        self._group = group

    def __missing__(self, piece: str) -> str:
        terms = " ".join(term for text in _texts(piece) for term in _written_as(text, self._group))
        if len(piece) <= LONGEST:
            self[piece] = terms
        return terms


def language_group(language: str) -> str:
    """How a document's words are stemmed: by its language; as English where that is not known."""
    return language if language in STEMMERS else UNSTEMMED if language else "en"


def groups_of(language: str) -> set[str]:
    """The groups of terms that a document may hold: its own, and English for words in a foreign script."""
    group = language_group(language)
    return {group, "en"} if group in _FOREIGN else {group}


def terms_of(text: str, language: str, seen: dict[str, Terms]) -> str:
    """The terms of a text with spaces between them; `seen` remembers pieces from one text to the next."""
    group = language_group(language)
    if sum(map(len, seen.values())) >= MOST_PIECES:
        seen.clear()
    terms = seen.setdefault(group, Terms(group))
    if not text.isascii():
        text = _BROKEN_LINE.sub("", text)  # such a line ends anywhere
    return " ".join([terms[piece] for piece in text.split()])


def asked_words(query: str, groups: Iterable[str]) -> list[Word]:
    """The different words of a question, read in each of the languages."""
    languages = sorted(groups)
    texts = dict.fromkeys(text for piece in query.split() for text in _texts(piece, asked=True))
    return [Word(text, tuple(_asked_as(text, languages).items())) for text in texts]


def _texts(piece: str, *, asked: bool = False) -> Iterator[str]:
    """What is between two spaces, cut into words and pairs."""
    if not piece.isascii():
        piece = unicodedata.normalize("NFC", piece.translate(_PLAIN))
        piece = unicodedata.normalize("NFKC", piece)
    plain = piece.casefold().replace("i\u0307", "i").replace("_", "-")  # İ
    for match in _COMPOUND.finditer(plain):
        yield from _parts(match[0], asked=asked)


def _parts(compound: str, *, asked: bool) -> Iterator[str]:
    parts = _JOINT.split(compound)
    for part in parts:
        for run in _PARTS.findall(part):
            if _IS_PAIRED.match(run):
                yield from _pairs(run, asked=asked)
            else:
                yield run[:LONGEST]
                if mixed := _LETTERS_AND_DIGITS.fullmatch(run):
                    yield from (one for one in mixed.groups() if one)
    if len(parts) > 1 and (whole := _whole(compound)):
        yield whole


def _pairs(run: str, *, asked: bool) -> Iterator[str]:
    """Each two neighbours; the last one alone as well, so that every character begins a term."""
    for start in range(len(run) - 1):
        yield run[start : start + 2]
    if len(run) == 1 or not asked:
        yield run[-1]


def _whole(compound: str) -> str:
    """Without what joins its parts; empty where the parts say it all (`and/or`, `the.end`)."""
    if number := _NUMBER.fullmatch(compound):
        count, decimals = number.groups()
        return _JOINT.sub("", count) + (f".{decimals}" if decimals else "")
    joined = _JOINT.sub("", compound)
    is_one = (
        _HYPHENS_ONLY.fullmatch(compound)
        or _INITIALS.fullmatch(compound)
        or _HAS_DIGIT.search(compound)
    )
    return joined if is_one and len(joined) <= LONGEST and not _IS_PAIRED.search(joined) else ""


def _is_same_everywhere(text: str) -> bool:
    """Numbers and pairs of characters belong to no language."""
    return bool(_HAS_DIGIT.search(text) or _IS_PAIRED.match(text))


def _written_as(text: str, group: str) -> Iterator[str]:
    if _is_same_everywhere(text):
        yield text
        return
    if group in _FOREIGN and text.isascii():
        group = "en"
    yield _stem(text, group)
    if (folded := without_accents(text)) != text:
        yield f"~{_stem(folded, group)}"


def _asked_as(text: str, groups: Iterable[str]) -> dict[str, float]:
    if _is_same_everywhere(text):
        return {text: 1.0}
    folded = without_accents(text)
    spellings = {folded, text.translate(_UMLAUTS)} - {text}
    forms: dict[str, float] = {}
    for group in groups:
        forms.setdefault(_stem(text, group), 1.0)
        for other in spellings:
            forms.setdefault(_stem(other, group), FOLDED)
        for accented in {folded, _WRITTEN_OUT.sub(r"\1", folded)}:
            forms.setdefault(f"~{_stem(accented, group)}", FOLDED)
    return forms


def without_accents(text: str) -> str:
    """The same in plain letters: of accents, of the points of Arabic and Hebrew, and of letters such as ø."""
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFD", text.translate(_LETTERS))
    return unicodedata.normalize("NFC", _ACCENTS.sub("", apart))


def _stem(text: str, group: str) -> str:
    """The stem with its accents, which some stemmers take off, under its language."""
    if group == UNSTEMMED:
        return text
    (stem,) = _stemmer(group).analyze(text)
    with_accents = text[: len(stem)]
    is_longer = without_accents(with_accents) != without_accents(stem)
    return f"{group}:{stem if is_longer else with_accents}"


@lru_cache
def _stemmer(group: str) -> TextAnalyzer:
    builder = TextAnalyzerBuilder(Tokenizer.raw())
    return builder.filter(Filter.stemmer(STEMMERS[group])).build()
