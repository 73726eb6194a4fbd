"""The process that runs one SELECT over files that it is given: DuckDB, locked before it reads the query.

Run by path, without anything else of ours, for in its box there is nothing else. It speaks with who has started it in
frames, a length of four bytes and so much JSON: a request; what is to be asked of models, and what they answered, as
often as the query calls for it; at last the rows, and how many were left out.
"""

import base64
import json
import math
import os
import struct
import sys
import threading
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

if TYPE_CHECKING:  # who has started us reads values as we do, and loads no database for it
    from duckdb import DuckDBPyConnection, DuckDBPyRelation, Statement

MAX_FRAME_BYTES = 32 * 2**20
ASKS_AT_ONCE = 256
MOST_EXACT = 2**53
"""Beyond, not every reader of JSON keeps a number as it is: it is written as a text."""
LOCKED = {
    "enable_external_access": "false",
    "lock_configuration": "true",
}
CONFIG = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "threads": "2",
}
FUNCTIONS = (
    "llm_chat(model, prompt, options := NULL) AS _llm('chat', model, {prompt}, {options})",
    "llm_json(model, prompt, schema) AS _llm('json', model, {prompt}, to_json(schema)::VARCHAR)::JSON",
    "llm_embed(model, text) AS _llm('embed', model, {text}, '')::JSON::FLOAT[]",
)
"""Prompts, options and schemas are texts or values: all travel as JSON. What is NULL is asked of nobody."""
PARTS = {
    "prompt": "nullif(to_json(prompt)::VARCHAR, 'null')",
    "text": "nullif(to_json(text)::VARCHAR, 'null')",
    "options": "coalesce(nullif(to_json(options)::VARCHAR, 'null'), '')",
}


class Refused(Exception):
    """A query that is not run, and why."""


class Line:
    """Frames to and from who has started us."""

    def __init__(self, reading: BinaryIO, writing: BinaryIO) -> None:
        self._reading, self._writing = reading, writing

    def send(self, said: dict[str, Any]) -> None:
        """One frame; `Refused` for one that is too long."""
        text = json.dumps(said, ensure_ascii=False, allow_nan=False).encode(errors="replace")
        if len(text) > MAX_FRAME_BYTES:
            raise Refused(f"The query makes values of more than {MAX_FRAME_BYTES // 2**20} MB.")
        self._writing.write(struct.pack(">I", len(text)) + text)
        self._writing.flush()

    def receive(self) -> Any:
        """The next frame."""
        (length,) = struct.unpack(">I", self._reading.read(4))
        return json.loads(self._reading.read(length))


class Models:
    """What the query asks of models: equal things once, in frames of so many."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._known: dict[bytes, str | None] = {b"": None}
        self._lock = threading.Lock()
        self.may_ask = True

    def answers(self, kinds: Any, models: Any, prompts: Any, more: Any) -> Any:
        """A vector of answers to vectors of kinds, models, prompts and what goes with them."""
        import pyarrow

        columns = (kinds, models, prompts, more)
        asks = list(zip(*(one.to_pylist() for one in columns), strict=True))
        keys = [b"" if None in ask else _key(ask) for ask in asks]
        with self._lock:
            new = {key: ask for key, ask in zip(keys, asks, strict=True) if key not in self._known}
            if new and not self.may_ask:
                raise Refused("Counting asks no models.")
            for part in _parts(list(new), ASKS_AT_ONCE):
                left = len(new.keys() - self._known.keys())
                self._line.send({"asks": [new[key] for key in part], "left": left})
                self._known.update(zip(part, self._line.receive()["answers"], strict=True))
            return pyarrow.array([self._known[key] for key in keys], pyarrow.string())


def main() -> None:
    """One request to its end; what is wrong with it is told."""
    import duckdb

    line = Line(sys.stdin.buffer, os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # whatever a library prints is no frame
    try:
        _answer(line, line.receive())
    except Refused as error:
        line.send({"error": str(error)})
    except (duckdb.OutOfMemoryException, MemoryError):
        line.send({"error": "", "needs_memory": True})
    except duckdb.Error as error:
        line.send({"error": str(error)[:2000]})


def _answer(line: Line, request: dict[str, Any]) -> None:
    import duckdb

    models = Models(line)
    connection = _opened(request, models if request["asks_models"] else None)
    rows = connection.sql(_one_select(connection, request["query"]))
    if rows is None:
        _refuse_kind()
    types = [str(one) for one in rows.types]
    found, is_all = _first(rows, request["limit"], request["max_bytes"])
    for place in (number for number, one in enumerate(types) if one == "JSON"):
        for cells in found:
            cells[place] = cells[place] and _value(cells[place])
    line.send({"columns": rows.columns, "types": types, "rows": found, "is_all": is_all})
    if not is_all:
        models.may_ask = False
        try:
            ((every,),) = rows.aggregate("count(*)").fetchall()
        except duckdb.Error:
            every = None
        line.send({"left_out": None if every is None else max(0, every - len(found))})


def _opened(request: dict[str, Any], models: Models | None) -> "DuckDBPyConnection":
    """A database in memory that sees the tables and nothing else, and stays so."""
    import duckdb

    config: dict[str, str | bool | int | float | list[str]]
    config = {**CONFIG, "memory_limit": f"{request['memory_bytes']}B"}
    connection = duckdb.connect(":memory:", config=config)
    for name, path in request["tables"].items():
        connection.execute(f"CREATE VIEW {sql_name(name)} AS FROM read_parquet({sql_text(path)})")
    if models:
        kinds = ["VARCHAR"] * 4
        connection.create_function(  # type: ignore[call-overload]  # which knows no vector of Arrow's
            "_llm",
            models.answers,
            kinds,
            "VARCHAR",
            type="arrow",
            null_handling="special",
            side_effects=True,
        )
        for one in FUNCTIONS:
            connection.execute("CREATE MACRO " + one.format(**PARTS))
    paths = ", ".join(sql_text(path) for path in request["tables"].values())
    connection.execute(f"SET allowed_paths = [{paths}]")
    for name, value in LOCKED.items():
        connection.execute(f"SET {name} = {value}")
    return connection


def _one_select(connection: "DuckDBPyConnection", query: str) -> "Statement":
    import duckdb

    statements = connection.extract_statements(query)
    if len(statements) != 1:
        raise Refused(f"One SELECT is run; these are {len(statements)} statements.")
    if statements[0].type != duckdb.StatementType.SELECT:
        _refuse_kind(statements[0].type.name)
    return statements[0]


def _refuse_kind(kind: str = "something else") -> NoReturn:
    raise Refused(f"One SELECT is run; this is {kind}.")


def _first(rows: "DuckDBPyRelation", limit: int, max_bytes: int) -> tuple[list[list[Any]], bool]:
    """The first rows, as JSON has them, within the bounds, and whether these are all."""
    found: list[list[Any]] = []
    size = 0
    for row in rows.limit(limit).iter_rows():
        cells = [plain(value) for value in row]
        texts = sum(len(one) for one in cells if isinstance(one, str))
        if texts <= max_bytes:  # a text of a gigabyte is not written down to be measured
            size += len(json.dumps(cells, ensure_ascii=False))
        if max(size, texts) > max_bytes:
            if not found:
                raise Refused(f"Its first row has more than {max_bytes // 2**20} MB.")
            return found, False
        found.append(cells)
    return found, len(found) < limit


def plain(value: Any) -> Any:
    """A value as JSON has it: what JSON has no form for is a text."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if abs(value) <= MOST_EXACT else str(value)
        case float():
            return value if math.isfinite(value) else None
        case Decimal():  # PostgreSQL's may be no number, or larger than a float
            is_large = value.is_finite() and abs(value) > MOST_EXACT
            return f"{value:f}" if is_large else plain(float(value))
        case datetime() | date() | time():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode()
        case dict():
            return {str(name): plain(one) for name, one in value.items()}
        case list() | tuple() | set():
            return [plain(one) for one in value]
    return str(value)


def _value(text: str) -> Any:
    """What a text of type JSON says; as it is where others could not read it, as of `1e999`."""
    try:
        json.dumps(value := json.loads(text), allow_nan=False)
    except (ValueError, RecursionError):
        return text
    return value


def _key(ask: tuple[str, ...]) -> bytes:
    return blake2b("\0".join(ask).encode(), digest_size=16).digest()


def _parts(every: list[bytes], length: int) -> Iterator[list[bytes]]:
    return (every[begin : begin + length] for begin in range(0, len(every), length))


def sql_name(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def sql_text(value: str) -> str:
    """A text as SQL has it."""
    return "'" + value.replace("'", "''") + "'"


if __name__ == "__main__":
    main()
