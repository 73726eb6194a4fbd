"""A question put to the word index: each of its words counts once, at its best spelling in each field.

The spellings of a word are alternatives (a disjunction of which the best counts), so that a word which is the same
with and without accents, or in two languages, weighs no more than another.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

from tantivy import Occur, Query, Schema, Searcher

from api.index.values import RELATED
from api.index.words import STEMMERS, UNSTEMMED, asked_words

TEXT, NAME = "text", "name"
WEIGHTS = {TEXT: 1.0, "heading": 0.1, "title": 0.5, NAME: 1.0}
"""What a word counts in each field (docs/retrieval.md)."""
MOST_WORDS = 64
"""A query is read up to this many different words."""
MOST_COUNTED = 24
"""Words, the rarest, by which it is told how much of a query a chunk holds: as many as a score has exact bits."""
MOST_COMPLETIONS = 50
"""Pairs of characters that stand for a single one."""


@dataclass(frozen=True, slots=True)
class Term:
    """One spelling of a word in one field, and what it counts."""

    field: str
    term: str
    weight: float


@dataclass(frozen=True, slots=True)
class Known:
    """A word of the question: where it occurs, by which terms, and how much it tells (its inverse frequency)."""

    terms: tuple[Term, ...]
    tells: float


class Asked:
    """The words of one question, as an index knows them."""

    def __init__(
        self,
        schema: Schema,
        searcher: Searcher,
        query: str,
        weights: Mapping[str, float],
        related: str = "",
    ) -> None:
        self._schema = schema
        self._searcher = searcher
        self._weights = {field: weight for field, weight in weights.items() if weight > 0}
        groups = [one for one in (*STEMMERS, UNSTEMMED) if searcher.doc_freq("group", one)]
        words = [self._look_up(one.forms) for one in asked_words(query, groups)[:MOST_WORDS]]
        self._words = [one for one in words if one.terms]
        self._unknown = sum(one.tells for one in words if not one.terms)
        self._names = self._joined(query, groups) if NAME in self._weights else []
        beside = [self._look_up(one.forms, (TEXT,)) for one in asked_words(related, groups)]
        self._related = [one for one in beside if one.terms]

    @property
    def is_known(self) -> bool:
        """Whether any of the words occurs."""
        return bool(self._words)

    def scored(self) -> Query:
        """What finds the chunks that hold any of the words, with the sum of what they count there."""
        wanted = [self._best_spelling(one) for one in (*self._words, *self._names)]
        related = [self._best_spelling(one) for one in self._related]
        return _any_of([*wanted, *(Query.boost_query(one, RELATED) for one in related)])

    def coverage(self, chunks: Sequence[int]) -> dict[int, float]:
        """How much of what the words tell each of the chunks holds, in any of its fields: 0 to 1."""
        if not chunks:
            return {}
        counted = sorted(self._words, key=lambda one: -one.tells)[:MOST_COUNTED]
        held = [
            (Occur.Should, Query.const_score_query(self._anywhere(word), float(1 << at)))
            for at, word in enumerate(counted)
        ]
        clauses = [
            (Occur.Must, Query.const_score_query(self._these(chunks), 0.0)),
            (Occur.Must, Query.boolean_query(held)),
        ]
        hits = self._searcher.search(
            Query.boolean_query(clauses), 2 * len(chunks), count=False
        ).hits
        numbers = self._searcher.fast_field_values("chunk", [address for _, address in hits])
        total = self._unknown + sum(one.tells for one in counted)
        return {
            int(chunk): sum(one.tells for at, one in enumerate(counted) if int(score) >> at & 1)
            / total
            for chunk, (score, _) in zip(numbers, hits, strict=True)
            if chunk is not None
        }

    def _joined(self, query: str, groups: Sequence[str]) -> list[Known]:
        """Neighbouring words written as one, as names of files often are: `Best Buy` finds `BESTBUY_2023`."""
        words = query.split()[:MOST_WORDS]
        pairs = "\n".join(before + after for before, after in pairwise(words))
        found = [self._look_up(one.forms, (NAME,)) for one in asked_words(pairs, groups)]
        here = {term for one in self._words for term in one.terms}
        return [one for one in found if one.terms and here.isdisjoint(one.terms)]

    def _look_up(self, forms: Sequence[tuple[str, float]], fields: Iterable[str] = ()) -> Known:
        if len(forms) == 1 and len(forms[0][0]) == 1:
            forms = self._completed(*forms[0])
        terms, most = [], 0
        for term, weight in forms:
            for field in fields or self._weights:
                counts = self._weights[field]
                if found := self._searcher.doc_freq(field, term):
                    terms.append(Term(field, term, weight * counts))
                    most = max(most, found)
        every = self._searcher.num_docs
        return Known(tuple(terms), log(1 + (max(every - most, 0) + 0.5) / (most + 0.5)))

    def _completed(self, character: str, weight: float) -> list[tuple[str, float]]:
        """A single character of a script that is indexed by pairs; a digit stands for itself."""
        if character.isdigit():
            return [(character, weight)]
        found = self._searcher.terms_with_prefix("text", character, limit=MOST_COMPLETIONS)
        return [(term, weight) for term, _ in found] or [(character, weight)]

    def _best_spelling(self, word: Known) -> Query:
        fields = []
        for field in self._weights:
            spellings = [self._weighed(one) for one in word.terms if one.field == field]
            if len(spellings) > 1:
                fields.append(Query.disjunction_max_query(spellings))
            else:
                fields.extend(spellings)
        return _any_of(fields)

    def _weighed(self, term: Term) -> Query:
        query = self._query(term)
        return query if term.weight == 1 else Query.boost_query(query, term.weight)

    def _anywhere(self, word: Known) -> Query:
        return _any_of([self._query(one) for one in word.terms])

    def _query(self, term: Term) -> Query:
        return Query.term_query(self._schema, term.field, term.term, "freq")

    def _these(self, chunks: Sequence[int]) -> Query:
        return Query.term_set_query(self._schema, "chunk", list(chunks))


def _any_of(queries: list[Query]) -> Query:
    if len(queries) == 1:
        return queries[0]
    return Query.boolean_query([(Occur.Should, one) for one in queries])
