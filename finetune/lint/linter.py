"""Looks at rows one after the other, and reports; what it keeps of a row is hashes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from finetune.data.rows import Fold, Row
from finetune.lint import codes
from finetune.lint.answers import Kinds, explains, is_json, language_of
from finetune.lint.findings import Findings
from finetune.lint.report import NAMED_ROWS, Figures, Report, Sample
from finetune.lint.seen import Seen
from finetune.lint.turns import conversations_of, key, text_of, wrong_in

if TYPE_CHECKING:
    from finetune.lint.tokens import Tokens

SAMPLES = 3


class Linter:
    """Is shown the rows to train on, then those to evaluate by and to test with."""

    def __init__(self, tokens: Tokens | None = None, token_rows: int | None = None) -> None:
        """Without `tokens` the texts alone are looked at; of each part `token_rows` are read as tokens, None: all."""
        self._tokens = tokens
        self._token_rows = token_rows
        self._found = Findings()
        self._figures = Figures()
        self._samples: list[Sample] = []
        self._trained_on = Seen()
        self._languages = Kinds(NAMED_ROWS)
        self._forms = Kinds(NAMED_ROWS)

    def look(self, fold: Fold, rows: Iterable[Row]) -> None:
        """Look at the rows of one part."""
        for row in rows:
            self._look(fold, row)

    def _look(self, fold: Fold, row: Row) -> None:
        found = self._found
        found.rows[fold] += 1
        for code, reason in wrong_in(row):
            found.add(code, fold, row.number, reason)
        content = key(row)
        if fold == "train":
            if (same := self._trained_on.first(content, row.number)) != row.number:
                found.add(codes.DUPLICATE, fold, row.number, f"as row {same}")
            self._compare(row)
        elif (known := self._trained_on.get(content)) is not None:
            code = codes.OVERLAP_OF_ALL_TESTS if fold == "test" else codes.OVERLAP
            found.add(code, fold, row.number, f"as training row {known}")
        if self._tokens and (self._token_rows is None or found.tokenized[fold] < self._token_rows):
            found.tokenized[fold] += 1
            figures = self._figures if fold == "train" else None
            for code, reason in self._tokens.wrong_in(row, figures):
                found.add(code, fold, row.number, reason)
            if fold == "train" and len(self._samples) < SAMPLES:
                self._samples += [sample] if (sample := self._tokens.sample(row)) else []

    def _compare(self, row: Row) -> None:
        """Remember of what kind the last answer is."""
        for turns in conversations_of(row)[:1]:
            answer, before = text_of(turns[-1]), turns[:-1]
            if turns[-1]["role"] != "assistant" or not answer:
                continue
            self._forms.add("JSON" if is_json(answer) else "no JSON", row.number)
            if language := language_of(answer):
                asked = " ".join(text_of(turn) for turn in before[-2:])
                is_odd = self._languages.is_odd(language) and not explains(asked, language)
                self._languages.add(language, row.number, explained=not is_odd)

    def report(self, accepted: Collection[str] = ()) -> Report:
        """What was found; errors of `accepted` codes are warnings."""
        self._tell_odd_ones(self._languages, codes.OTHER_LANGUAGE)
        if self._forms.rest() == "JSON":
            self._tell_odd_ones(self._forms, codes.OTHER_FORMAT)
        self._figures.rows = {fold: count for fold, count in self._found.rows.items() if count}
        self._figures.rows_read_as_tokens = sum(self._found.tokenized.values())
        findings = self._found.all(accepted)
        return Report(findings=findings, figures=self._figures, samples=self._samples)

    def _tell_odd_ones(self, kinds: Kinds, code: codes.Code) -> None:
        rest = kinds.rest()
        for kind, rows in kinds.rows.items():
            if rest and kind != rest:
                self._found.add_many(code, "train", rows, kinds.odd[kind], f"{kind}, not {rest}")
