"""Collects what is found, row by row: of each code the first rows, the first reason, and a count."""

from collections.abc import Collection
from dataclasses import dataclass, field

from finetune.data.rows import FOLDS, Fold
from finetune.lint.codes import CODES, Code, Severity
from finetune.lint.report import NAMED_ROWS, Finding


@dataclass(slots=True)
class _Found:
    code: Code
    fold: Fold
    count: int = 0
    rows: list[int] = field(default_factory=list)
    first: str = ""

    def severity(self, rows: int) -> Severity:
        share = self.code.error_from
        return "error" if share is not None and self.count >= share * rows else self.code.severity

    def finding(self, rows: int) -> Finding:
        reason = f" First: row {self.rows[0]}, {self.first}." if self.first else ""
        return Finding(
            code=self.code.name,
            severity=self.severity(rows),
            fold=self.fold,
            count=self.count,
            rows=self.rows,
            detail=self.code.detail + reason,
            remedy=self.code.remedy,
        )


class Findings:
    """Grows by the number of codes, never by that of the rows."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Fold], _Found] = {}
        self.rows: dict[Fold, int] = dict.fromkeys(FOLDS, 0)
        self.tokenized: dict[Fold, int] = dict.fromkeys(FOLDS, 0)

    def add(self, code: Code, fold: Fold, row: int, reason: str = "") -> None:
        """This row has it; `reason` says more of the first one."""
        found = self._found.setdefault((code.name, fold), _Found(code, fold))
        if found.rows[-1:] == [row]:
            return
        found.count += 1
        if len(found.rows) < NAMED_ROWS:
            found.rows.append(row)
            found.first = found.first or reason

    def add_many(self, code: Code, fold: Fold, rows: list[int], count: int, reason: str) -> None:
        """So many rows have it, these first."""
        found = self._found.setdefault((code.name, fold), _Found(code, fold))
        found.count += count
        found.rows = [*found.rows, *rows][:NAMED_ROWS]
        found.first = found.first or reason

    def all(self, accepted: Collection[str] = ()) -> list[Finding]:
        """Errors first, each in the order of the codes; errors of `accepted` codes are warnings."""
        order = {code.name: place for place, code in enumerate(CODES)}
        found = [
            each.finding((self.tokenized if each.code.needs_tokens else self.rows)[each.fold])
            for each in self._found.values()
        ]
        for each in found:
            if each.code in accepted:
                each.severity = "warning"
        return sorted(found, key=lambda each: (each.severity != "error", order[each.code]))
