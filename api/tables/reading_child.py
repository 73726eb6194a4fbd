"""The process that reads one uploaded table: run within limits, in an environment that holds nothing.

    python -m api.tables.reading_child < REQUEST

The request is what `reading.py` sends, as JSON; so is the one line of the answer. Only here DuckDB reads what a
stranger wrote.
"""

import contextlib
import errno
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from api.tables.duck import first_line, opened, written
from api.tables.spool import MOST_CELLS, MOST_COLUMNS, Spool, require_column_name
from api.tables.sql_child import sql_name, sql_text
from api.tables.types import CANDIDATES, TOLD, TYPES, Type, cast, has_fraction, is_one, of_duckdb
from api.tables.workbook import open_sheet
from finetune.data.csv import open_csv
from finetune.data.errors import DatasetError, RowError
from finetune.data.jsonl import open_json, open_jsonl
from finetune.data.reading import REPORTED_ROWS, bad_rows
from finetune.data.sniff import sniff

ZIP = b"PK\x03\x04"
KNOWN = "CSV, JSON Lines, JSON, Parquet or XLSX"
_LONGEST_LINE = 2**28
"""More than the readers let through."""


class Unheeded(DatasetError):
    """Types are wanted that the file cannot have."""


def main() -> int:
    """Answer one request."""
    print(json.dumps(answered(json.load(sys.stdin))))  # noqa: T201  the parent listens
    return 0


def answered(request: Mapping[str, Any]) -> dict[str, Any]:
    """What the file is, once the target is written; or why it is none."""
    try:
        with contextlib.closing(opened(Path(request["target"]).parent)) as database:
            return _read(database, request)
    except DatasetError as error:
        return {
            "refused": error.kind,
            "detail": error.detail,
            "where": "types" if isinstance(error, Unheeded) else "file",
            "errors": error.row_fields(),
            "count": error.count,
        }
    except duckdb.Error as error:
        if "No space left" in str(error):
            return {"errno": errno.ENOSPC}
        said = first_line(error).replace(request["source"], "it")
        detail = f"The file cannot be read: {said}"
        return {"refused": "no_dataset", "detail": detail, "where": "file"}
    except OSError as error:
        return {"errno": error.errno}


def _read(database: duckdb.DuckDBPyConnection, request: Mapping[str, Any]) -> dict[str, Any]:
    source, target = Path(request["source"]), request["target"]
    with source.open("rb") as file:
        head = file.read(4)
    if head == b"PAR1":
        return _of_parquet(database, source, request) | {"format": "Parquet"}
    spool = Spool(source.with_name("spool.jsonl"), request["most_rows"])
    if head == ZIP:
        table, are_cells = open_sheet(str(source), request["sheet"]), False
    else:
        sniffed = sniff(source, KNOWN)
        are_cells = sniffed.format == "csv"
        if are_cells:
            table = open_csv(source, sniffed.encoding, lambda _: False)
        else:
            opened = open_json if sniffed.format == "json" else open_jsonl
            table = opened(source, sniffed.encoding)
    spool.fill(request.get("columns", table.columns), table.rows, are_cells=are_cells)
    if not spool.columns:
        raise DatasetError("empty", "The file has no columns.")
    return _of_spool(database, spool, request["types"], target) | {"format": table.format}


def _of_spool(
    database: duckdb.DuckDBPyConnection, spool: Spool, wanted: Mapping[str, Type], target: str
) -> dict[str, Any]:
    names = list(spool.columns.values())
    _require_known(wanted, names)
    members = ", ".join(["r: 'BIGINT'", *(f"c{place}: 'VARCHAR'" for place in range(len(names)))])
    rows = (
        f"read_json({sql_text(str(spool.path))}, format='newline_delimited', columns={{{members}}}, "
        f"maximum_object_size={_LONGEST_LINE})"
    )
    types = [
        wanted.get(name) or type
        for name, type in zip(names, _types(database, spool, rows), strict=True)
    ]
    _require_cells(database, rows, names, types, wanted)
    columns = [
        f"{cast(f'c{place}', type)} AS {sql_name(name)}"
        for place, (name, type) in enumerate(zip(names, types, strict=True))
    ]
    return written(database, f"SELECT {', '.join(columns)} FROM {rows}", names, types, target)


def _types(database: duckdb.DuckDBPyConnection, spool: Spool, rows: str) -> list[Type]:
    """Of each column the first type that all of its cells are; one without cells is of texts."""
    tried = [
        (place, type)
        for place, kinds in enumerate(spool.kinds)
        for type in TOLD
        if type != "text" and kinds and all(type in CANDIDATES[kind] for kind in kinds)
    ]
    found: list[Type] = ["text"] * len(spool.kinds)
    if tried:
        tests = ", ".join(
            f"bool_and({is_one(f'c{place}', type)} OR c{place} IS NULL)" for place, type in tried
        )
        fits = database.execute(f"SELECT {tests} FROM {rows}").fetchone() or ()
        for (place, type), is_fit in reversed(list(zip(tried, fits, strict=True))):
            if is_fit:
                found[place] = type
    return found


def _require_cells(
    database: duckdb.DuckDBPyConnection,
    rows: str,
    names: Sequence[str],
    types: Sequence[Type],
    wanted: Mapping[str, Type],
) -> None:
    """Every cell of a column whose type was wanted can become it."""
    bad: list[RowError] = []
    for place, (name, type) in enumerate(zip(names, types, strict=True)):
        if name in wanted and type != "text":
            cell = f"c{place}"
            wrong = f"{cell} IS NOT NULL AND {cast(cell, type)} IS NULL"
            if type == "integer":
                wrong += f" OR {has_fraction(cell)}"
            found = database.execute(
                f"SELECT r, {cell} FROM {rows} WHERE {wrong} LIMIT {REPORTED_ROWS}"
            ).fetchall()
            bad += [
                RowError(row, name, f"{said[:40]!r} is no {type}.", TOLD[type].expected)
                for row, said in found
            ]
    if bad:
        raise bad_rows(sorted(bad, key=lambda one: one.row))


def _of_parquet(
    database: duckdb.DuckDBPyConnection, source: Path, request: Mapping[str, Any]
) -> dict[str, Any]:
    wanted: Mapping[str, Type] = request["types"]
    rows = f"read_parquet({sql_text(str(source))})"
    described = database.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()
    names = [str(one[0]) for one in described]
    for name in names:
        require_column_name(name)
    _require_known(wanted, names)
    (count,) = database.execute(f"SELECT count(*) FROM {rows}").fetchone() or (0,)
    if count > request["most_rows"]:
        raise DatasetError("too_many", f"More than {request['most_rows']} rows. Split the file.")
    if len(names) > MOST_COLUMNS or count * len(names) > MOST_CELLS:
        raise DatasetError("too_many", f"More than {MOST_COLUMNS} columns or {MOST_CELLS:,} cells.")
    for name in (name for name, type in wanted.items() if type == "integer"):
        broken = f"SELECT {sql_name(name)} FROM {rows} WHERE {has_fraction(sql_name(name))} LIMIT 1"
        if found := database.execute(broken).fetchone():
            raise Unheeded("header", f"Column {name[:40]!r} holds {found[0]}, which is no integer.")
    types = [
        wanted.get(name) or _type_of(database, rows, sql_name(name), str(one[1]))
        for name, one in zip(names, described, strict=True)
    ]
    columns = [
        f"{_of_value(sql_name(name), str(one[1]), type)} AS {sql_name(name)}"
        for name, one, type in zip(names, described, types, strict=True)
    ]
    select = f"SELECT {', '.join(columns)} FROM {rows}"
    try:
        return written(database, select, names, types, request["target"])
    except duckdb.ConversionException as error:
        raise Unheeded("header", f"{first_line(error)}. Leave its type out.") from error


def _type_of(database: duckdb.DuckDBPyConnection, rows: str, column: str, has: str) -> Type:
    """Ours for a column of Parquet; of decimals that a number would shorten it is a text."""
    if has.startswith("DECIMAL"):
        shorter = f"TRY_CAST(CAST({column} AS DOUBLE) AS {has}) IS DISTINCT FROM {column}"
        if database.execute(f"SELECT 1 FROM {rows} WHERE {shorter} LIMIT 1").fetchone():
            return "text"
    return of_duckdb(has)


def _of_value(column: str, has: str, type: Type) -> str:
    """A value of Parquet as one of ours; a nested one as JSON. What cannot be cast ends the reading."""
    if type != "text":
        return f"CAST({column} AS {TOLD[type].duckdb})"
    if has == "BLOB":
        return f"base64({column})"
    is_nested = has.endswith("]") or has.startswith(("STRUCT", "MAP"))
    return f"CAST(to_json({column}) AS VARCHAR)" if is_nested else f"CAST({column} AS VARCHAR)"


def _require_known(wanted: Mapping[str, Type], names: Sequence[str]) -> None:
    for name, type in wanted.items():
        if name not in names:
            known = ", ".join(map(repr, names))[:500]
            raise Unheeded("header", f"There is no column {name[:40]!r}. Columns: {known}.")
        if type not in TYPES:
            raise Unheeded("header", f"{type[:40]!r} is no type. Types: {', '.join(TYPES)}.")


if __name__ == "__main__":
    sys.exit(main())
