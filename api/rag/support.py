"""Whether a passage says what a statement says: its numbers with their units, its names, its denial, its words.

No model is asked. A statement is held against the clauses of the passage one by one, because a number beside another
name is another fact. A rewording passes as long as most of its words, and all its numbers and names, are there.
Arithmetic alone.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from api.rag.clauses import Clause, clauses, names_in, whole
from api.rag.numbers import SPELLED, UNITS, Number, is_stated
from api.rag.rows import is_misplaced
from api.rag.words import content_words, stem

LEAST_SHARED = 0.55
"""Share of a statement's content words that must stand in a clause of the passage."""
SUMMARY_WORDS, SUMMARY_SHARED = 8, 0.7
"""A statement of so many content words may share so many with all of the passage instead."""
AS_GOOD = 0.15
"""Clauses that share so much less than the best one still count as what is meant."""
ELSEWHERE = 2.5
"""What a missing word counts that the passage says of something else."""

ONE = Number(1, 1, "")
"""Seldom a number: `one of them`."""
_FRAME = re.compile(
    r"^(?:(?:yes|no|in short|in summary|so|thus|overall)[,:]\s+)?"
    r"(?:according to [^,]{1,60},\s+|(?:the )?\w+ (?:says?|states?|mentions?) that\s+)?",
    re.IGNORECASE,
)
"""What stands around a statement and says nothing of its own."""
_OPPOSITES = """
increase decrease/rise fall/rose fell/rise decline/increase fell/decrease rose/more less/more fewer/before after/
above below/minimum maximum/least most/include exclude/allow forbid/allow prohibit/always never/first last/higher lower/
high low/open close/free paid/early late/accept reject/buy sell/start end/inside outside/required optional/
mandatory optional/internal external/annual monthly/daily weekly/covered excluded/up down/morning evening/
oldest newest/best worst/left right/summer winter
"""


class Passage(NamedTuple):
    """A text, and words that hold for all of it: its document's name, its heading."""

    text: str
    context: str = ""


def lacking(statement: str, passages: Iterable[Passage]) -> str:
    """What of a statement none of the passages says; empty when it is supported, each clause by one of them."""
    passages = list(passages)
    statement = _FRAME.sub("", statement.strip())
    if any(_plain(statement) in _plain(one.text) for one in passages):
        return ""
    read = [Read.of(passage) for passage in passages]
    labels = {cell.label for one in read for clause in one.clauses for cell in clause.row}
    parts = [one for one in clauses(statement, labels) if one.words or one.numbers]
    known = frozenset[str]().union(*(one.names for one in read))
    whys = [_lacking(one, read, known) for one in parts]
    if any(whys) and len(parts) > 1 and not _lacking(whole(statement), read, known):
        return ""
    return next((why for why in whys if why), "")


class Read(NamedTuple):
    """A passage taken apart: `plain` are the words that stand in it without a capital."""

    clauses: list[Clause]
    words: frozenset[str]
    around: frozenset[str]
    names: frozenset[str]
    plain: frozenset[str]

    @classmethod
    def of(cls, passage: Passage) -> "Read":
        """A passage, read once."""
        text, context = passage
        plain = content_words(re.sub(r"\b[A-Z]\w*", " ", text))
        return cls(
            clauses(text),
            content_words(text),
            content_words(context),
            names_in(text) - plain,
            plain,
        )


def _plain(text: str) -> str:
    return " ".join(text.split()).strip(" .").casefold()


def _lacking(claim: Clause, passages: Sequence[Read], known: frozenset[str]) -> str:
    whys = [_why(claim, passage, known) for passage in passages]
    return "" if "" in whys else next(iter(whys), "no passage is cited")


def _why(claim: Clause, passage: Read, known: frozenset[str]) -> str:
    """What is missing from the passage, the gravest first."""
    candidates, without = _with_numbers(claim, passage.clauses)
    if without:
        return without
    for name in claim.names | ({claim.first} & known):
        candidates = [one for one in candidates if _holds(name, one, claim, passage)]
        if not candidates:
            return f"the name {name}"
    for number in claim.numbers:
        candidates = [one for one in candidates if not _misplaces(number, claim, one)]
        if not candidates:
            return f"the number {number.written:g} in this column"
    shared = {one: _shared(claim, one, passage) for one in candidates}
    best = max(shared.values(), default=0.0)
    if best < LEAST_SHARED and not _summarises(claim, passage):
        return "most of its words"
    meant = [one for one in candidates if shared[one] >= best - AS_GOOD]
    nearest = max(len(one.own & claim.words) for one in meant)
    meant = [one for one in meant if len(one.own & claim.words) == nearest]
    if all(one.denies != claim.denies for one in meant):
        return "whether it is so or not"
    if all(_contradicts(claim, one) for one in meant):
        return "the opposite of a word"
    return ""


def _with_numbers(claim: Clause, candidates: Sequence[Clause]) -> tuple[list[Clause], str]:
    """The clauses that state every number, or the first number that none of them states."""
    left = list(candidates)
    for number in claim.numbers:
        if number == ONE:
            continue
        left = [one for one in left if is_stated(number, [*one.numbers, *one.inherited])]
        if not left:
            return [], f"the number {number.written:g} {number.unit}".rstrip()
    return [one for one in left if one.numbers] if claim.numbers else left, ""


def _misplaces(number: Number, claim: Clause, clause: Clause) -> bool:
    """Whether a clause is a row of a table that has a number of the statement in another column."""
    return is_misplaced(number, claim.words, claim.numbers, clause.row)


def _holds(name: str, clause: Clause, claim: Clause, passage: Read) -> bool:
    """Whether a clause is about what a name stands for: it says so, all of the passage is, or nothing else is named."""
    if name in clause.words or name in passage.around:
        return True
    others = clause.names | ({clause.first} - passage.plain)
    return name in passage.words and not others - claim.words - {""}


def _summarises(claim: Clause, passage: Read) -> bool:
    """Whether a long statement without a number says in short what many clauses say together."""
    said = claim.words - _COUNTED
    there = said & (passage.words | passage.around)
    is_long = len(said) >= SUMMARY_WORDS and not claim.numbers
    return is_long and _weight(there) >= SUMMARY_SHARED * _weight(said)


def _shared(claim: Clause, clause: Clause, passage: Read) -> float:
    """The share of the statement's words that the clause says too."""
    said = frozenset(word for word in claim.words - _COUNTED if not word[0].isdigit())
    there = said & ((clause.near if claim.numbers else clause.words) | passage.around)
    missing = said - there
    grave = missing & (passage.words | {claim.first}) - _LIGHT
    held = _weight(there) + sum(1.5 if one.unit else 1 for one in claim.numbers)
    total = held + _weight(missing) + (ELSEWHERE - 1) * len(grave)
    return held / total if total else 1.0


def _weight(said: frozenset[str]) -> float:
    return len(said) - 0.5 * len(said & _LIGHT)


def _contradicts(claim: Clause, clause: Clause) -> bool:
    """Whether a word of the statement stands in the clause as its opposite alone, or a period as another one."""
    here, there = _periods(claim), _periods(clause)
    return bool(here - there and there - here) or any(
        word in claim.words and word not in clause.words and opposite in clause.words - claim.words
        for word, opposite in _PAIRS
    )


def _periods(clause: Clause) -> frozenset[str]:
    return frozenset(_PERIODS[word] for word in clause.near & _PERIODS.keys())


_LIGHT_WORDS = """
add allow apply available become begin bring call come consist contain cost cover describe do find follow give go help
hold include keep know lead let list make mean need note offer pay provide put receive require see serve show state take
want work
"""
_LIGHT = frozenset(stem(word) for word in _LIGHT_WORDS.split())
"""Words that many a fact is told with."""
_COUNTED = frozenset(stem(word) for word in (*SPELLED, *UNITS))
_PERIOD_LINES = ("second", "minute", "hour hourly", "day daily", "week weekly", "month monthly")
_PERIODS = {
    stem(word): line.split()[0]
    for line in (*_PERIOD_LINES, "year yearly annual annually")
    for word in line.split()
}
_PAIRS = frozenset(
    pair
    for line in _OPPOSITES.replace("\n", "").split("/")
    for one, other in [line.split()]
    for pair in ((stem(one), stem(other)), (stem(other), stem(one)))
)
