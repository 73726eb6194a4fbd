"""What the cells of a column can be, and how DuckDB tells it: each type with its test and its cast."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Type = Literal["text", "integer", "number", "boolean", "date", "timestamp"]
TYPES: tuple[Type, ...] = get_args(Type)
Kind = Literal["cell", "text", "number", "boolean", "time", "other"]
"""What a file says that a value is; of a `cell` it says nothing."""
PLACE = "file_row_number"
"""What DuckDB calls the place of a row in a Parquet file, from 0, which has no column of that name then."""

_INTEGER = "-?(0|[1-9][0-9]*)"
_NUMBER = r"-?(0|[1-9][0-9]*)?(\.[0-9]+)?([eE][+-]?[0-9]+)?"
_LONG = "-?([0-9]{16,}|[0.]*[1-9][0-9.]{18,}([eE].*)?)"
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"


@dataclass(frozen=True, slots=True)
class Told:
    """How a type is told: DuckDB's name, the pattern of a text that is surely one, and an example."""

    duckdb: str
    pattern: str
    expected: str


TOLD: Mapping[Type, Told] = {
    "boolean": Told("BOOLEAN", "(?i)true|false", "true or false"),
    "integer": Told("BIGINT", _INTEGER, "a whole number such as 42"),
    "number": Told("DOUBLE", _NUMBER, "a number such as 4.5"),
    "date": Told("DATE", _DAY, "a day such as 2026-05-31"),
    "timestamp": Told("TIMESTAMP", f"{_DAY}({_TIME})?", "a time such as 2026-05-31 18:30:00"),
    "text": Told("VARCHAR", "(?s).*", "a text"),
}
"""In the order in which they are tried: the first that every cell of a column is."""

CANDIDATES: Mapping[Kind, tuple[Type, ...]] = {
    "cell": tuple(TOLD),
    "number": ("integer", "number", "text"),
    "boolean": ("boolean", "text"),
    "time": ("date", "timestamp", "text"),
    "text": ("date", "timestamp", "text"),
    "other": ("text",),
}


def fits(text: str, type: Type) -> bool:
    """Whether a text is written as values of that type are."""
    return re.fullmatch(TOLD[type].pattern, text.strip()) is not None


def is_one(cell: str, type: Type) -> str:
    """A condition of SQL: whether a text is surely of that type, and loses nothing by becoming one."""
    told = TOLD[type]
    sure = f"regexp_full_match({cell}, '{told.pattern}') AND {cast(cell, type)} IS NOT NULL"
    if type == "number":  # its last digits would be lost
        sure += f" AND NOT regexp_full_match({cell}, '{_LONG}') AND isfinite({cast(cell, type)})"
    return f"({sure})"


def has_fraction(cell: str) -> str:
    """A condition of SQL: whether a value would be rounded if it became an integer."""
    number = f"TRY_CAST({cell} AS DOUBLE)"
    return f"coalesce({number} <> trunc({number}), false)"


def cast(cell: str, type: Type) -> str:
    """An expression of SQL: a text as a value of that type, NULL where it is none; a time as it is in UTC."""
    if type == "timestamp":
        return f"(TRY_CAST({cell} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
    return cell if type == "text" else f"TRY_CAST({cell} AS {TOLD[type].duckdb})"


def of_duckdb(name: str) -> Type:
    """Ours for a column of DuckDB's; what has no like becomes a text."""
    plain = name.partition("(")[0]
    if plain in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"):
        return "integer"
    if plain in ("FLOAT", "DOUBLE", "DECIMAL"):
        return "number"
    if plain.startswith("TIMESTAMP"):
        return "timestamp"
    return {"BOOLEAN": "boolean", "DATE": "date"}.get(plain, "text")  # type: ignore[return-value]


def is_text(text: str) -> bool:
    """Whether it can be written down: half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_text(value: Any) -> str | None:
    """A cell as it stands in a prompt."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
