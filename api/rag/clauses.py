"""A text cut into clauses, each with its words, names, numbers and whether it denies something. Arithmetic alone.

What a clause leaves unsaid (`It weighs 12 kg`, an item of a list, `and costs 30 euros`) it has from what stands before.
"""

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace

from api.rag.numbers import MONTHS, Number, numbers
from api.rag.rows import Cell, cells_of
from api.rag.words import COMMON, content_words, stem, words

_SENTENCE = re.compile(
    r"(?<=[.!?])[\"')\]\u201d\u2019]*\s+|\n\s*\n|\n(?=\s*(?:[\u2022\u25cf*-]|\d{1,2}[.)])\s)|:\s*\n"
)
_CLAUSE = re.compile(
    r"(?<!\s),?\s+(?=(?:but|while|whereas|although|though|unless|except|so)\b)"
    r"|(?<!\s),?\s+(?=and (?:(?:the|an?|our|your|its|is|are|was|were|ha[sd]|have|do|does|did|will|would|can|could|may"
    r"|might|must|should|need|not|cannot|costs?)(?:n['\u2019]t)?\b|[A-Z]\w+))"
    r"|,\s+(?=(?:the|which|who|where)\b)|;\s+"
)
_ITEM = re.compile(r"\s*(?:[\u2022\u25cf*-]|\d{1,2}[.)])\s")
_OWN_SUBJECT = re.compile(
    r"(?:(?:but|while|whereas|although|though|and|so) )?(?:(?i:the|an?|our|your|each|all)\b|[A-Z]\w)"
)
_CARRIES_ON = re.compile(
    r"(?:it|they|this|that|these|those|he|she|its|their|his|her|there|such|also|additionally|then|in addition|"
    r"however|for example|which|who)\b",
    re.IGNORECASE,
)
_DENIES = re.compile(
    r"\b(?:not|no|never|none|nor|neither|nothing|nobody|nowhere|without|cannot|unable|\w+n['\u2019]t)\b",
    re.IGNORECASE,
)
_DENIES_NOTHING = re.compile(
    r"\b(?:(?:not|\w+n['\u2019]t) (?:only|just|limited)|no later|no (?:more|less|fewer) than)\b",
    re.IGNORECASE,
)
_DATE = re.compile(r"\b(\d{4})-(0\d|1[0-2])-(\d{2})\b")
_MAY = re.compile(r"(?<=[a-z\d,] )May\b")
_CAPITAL = re.compile(r"(?<=[^.!?:\n\u2022(\"\u201c]\s)[A-Z][\w'\u2019]+")


@dataclass(frozen=True, slots=True)
class Clause:
    """What a clause says. `words` and `inherited` are also what it has from before, `near` without the other items of
    its list; all else is its own. `first` is the word that it begins with, if that has a capital. `row` are the cells
    of what is a row of a table.
    """

    own: frozenset[str]
    words: frozenset[str]
    near: frozenset[str]
    first: str
    names: frozenset[str]
    numbers: tuple[Number, ...]
    inherited: tuple[Number, ...]
    denies: bool
    row: tuple[Cell, ...] = ()


def clauses(text: str, labels: Container[frozenset[str]] | None = None) -> list[Clause]:
    """The clauses of a text, in order. A row of a table is one clause; where `labels` are given, only one of theirs."""
    found: list[Clause] = []
    prose: list[str] = []
    for line in _with_months(text).splitlines():
        row = cells_of(line)
        if row and (labels is None or all(cell.label in labels for cell in row)):
            _tell("\n".join(prose), found)
            prose.clear()
            found.append(replace(_clause(line, None, None), row=row))
        else:
            prose.append(line)
    _tell("\n".join(prose), found)
    return found


def _tell(prose: str, found: list[Clause]) -> None:
    """Put the clauses of sentences and lists behind those that were found before."""
    intro = found[-1] if found else None
    for sentence in _parts(_SENTENCE, prose):
        is_item = bool(_ITEM.match(sentence))
        for at, part in enumerate(_parts(_CLAUSE, sentence)):
            carries_on = (
                is_item
                or bool(_CARRIES_ON.match(part))
                or (at > 0 and not _OWN_SUBJECT.match(part))
            )
            before = found[-1] if found and carries_on else None
            from_before = intro if is_item and intro else before
            found.append(_clause(part, before, from_before))
        if found and not is_item:
            intro = found[-1]


def whole(text: str) -> Clause:
    """All of a text as one clause."""
    return _clause(_with_months(text), None, None)


def names_in(text: str) -> frozenset[str]:
    """The words with a capital that stand in the middle of a line or sentence."""
    found = (word for name in _CAPITAL.findall(text) for word in words(name))
    return frozenset(stem(word) for word in found if word not in COMMON and len(word) > 1)


def _parts(cut: re.Pattern[str], text: str) -> Iterator[str]:
    return (part for part in (one.strip() for one in cut.split(text)) if part)


def _clause(text: str, before: Clause | None, source: Clause | None) -> Clause:
    own = content_words(text)
    inherited = (*source.numbers, *source.inherited) if source else ()
    denied = _DENIES_NOTHING.sub(" ", text)
    return Clause(
        own,
        own | before.words if before else own,
        own | source.near if source else own,
        _first(text),
        names_in(text),
        tuple(numbers(text)),
        inherited,
        len(_DENIES.findall(denied)) % 2 == 1,
    )


def _first(text: str) -> str:
    word = re.match(r"\W*([A-Z]\w+)", text)
    return "" if word is None or word[1].casefold() in COMMON else stem(word[1].casefold())


def _with_months(text: str) -> str:
    """Dates in words, and the month of May by a name that no verb has."""
    return _MAY.sub("Mai", _DATE.sub(_spelled, text))


def _spelled(date: re.Match[str]) -> str:
    return f"{int(date[3])} {MONTHS[int(date[2]) - 1]} {date[1]}"
