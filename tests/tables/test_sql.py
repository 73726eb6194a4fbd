"""One SELECT in a child: what it gives, what models are asked for it, and that it reaches nothing and ends in time."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest

from api.batches.values import Answer
from api.errors import ApiError, BackEndFailed, InvalidOption, NotFound
from api.tables import sql_child
from api.tables.model_calls import AT_ONCE, ModelCalls
from api.tables.refusals import QueryUnusable
from api.tables.sql import PROGRAM, Sql
from tests.processes import children_running
from tests.structured.test_sandbox import bubblewrap

pytestmark = pytest.mark.anyio

REVIEWS = """SELECT i AS id, 'review ' || (i % 50) AS review, i % 7 AS stars, DATE '2026-01-01' + i::INTEGER AS day
    FROM range(1, 5001) r(i)"""


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 5,000 rows with 50 texts."""
    path = tmp_path_factory.mktemp("tables") / "reviews.parquet"
    duckdb.connect().execute(f"COPY ({REVIEWS}) TO '{path}'")
    return path


class Models:
    """Answers requests as the service would; how many it had, and how many at once."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds = seconds
        self.asked: list[dict[str, Any]] = []
        self.at_once = self.most_at_once = 0
        self.refusals: list[tuple[int, float | None]] = []

    async def __call__(self, key: str, path: str, body: bytes) -> Answer:
        """One answer; a refusal that is lined up comes first."""
        assert key == "key_1"
        asked = json.loads(body)
        self.asked.append({"path": path, **asked})
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        if self.refusals:
            status, later = self.refusals.pop(0)
            error = {"error": {"message": "not that one", "code": None, "param": None}}
            return Answer(status, "req", json.dumps(error).encode(), later)
        return Answer(200, "req", json.dumps(_answer(asked)).encode())

    def calls(self, most: int = 1000) -> ModelCalls:
        """Calls in the name of a key."""
        return ModelCalls(self, "key_1", most)


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    if "input" in asked:
        data = [{"embedding": [len(text), 0.5]} for text in asked["input"]]
        return {"data": data, "usage": {"prompt_tokens": len(data)}}
    said = asked["messages"][-1]["content"]
    if "response_format" in asked:
        said = json.dumps({"stars": 5}) if "review 1" in said else "no value"
    message = {"content": said.upper() if "response_format" not in asked else said}
    return {
        "choices": [{"message": message}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 3},
    }


@pytest.fixture
def sql() -> Sql:
    """Runs queries; in bubblewrap where the machine lets it."""
    with contextlib.suppress(pytest.skip.Exception):
        return Sql(bubblewrap())
    return Sql(None)


async def test_models_are_asked_once_for_what_is_equal_and_only_for_rows_that_count(
    sql: Sql, reviews: Path
) -> None:
    models = Models()
    calls = models.calls()
    query = """SELECT id, llm_chat('demo', review, {'temperature': 0, 'max_tokens': 9}) AS said,
            llm_chat('demo', CASE WHEN id = 1 THEN review END) AS one, llm_embed('minilm', review) AS vector,
            llm_json('demo', [{'role': 'user', 'content': review}], '{"type": "object"}') AS value, day
        FROM reviews WHERE id <= 100 AND llm_chat('demo', review) <> 'REVIEW 9' ORDER BY id -- the first;"""
    rows = await sql.run(query, {"reviews": reviews}, 3, calls)
    assert rows.columns == ["id", "said", "one", "vector", "value", "day"]
    assert rows.types == ["BIGINT", "VARCHAR", "VARCHAR", "FLOAT[]", "JSON", "DATE"]
    assert rows.rows == [
        [1, "REVIEW 1", "REVIEW 1", [8.0, 0.5], {"stars": 5}, "2026-01-02"],
        [2, "REVIEW 2", None, [8.0, 0.5], None, "2026-01-03"],
        [3, "REVIEW 3", None, [8.0, 0.5], None, "2026-01-04"],
    ]
    assert rows.left_out == 95
    chats = [one for one in models.asked if one["path"] == "/v1/chat/completions"]
    assert [len([one for one in chats if name in one]) for name in ("max_tokens", "seed")] == [
        49,
        0,
    ]
    assert len(chats) == 50 + 49 + 49  # the condition, the answers, the values
    assert calls.number == len(chats) + 49
    assert len(models.asked) - len(chats) == 1, "vectors come many at a time"
    assert models.most_at_once == AT_ONCE
    assert (calls.prompt_tokens, calls.completion_tokens) == (2 * len(chats) + 49, 3 * len(chats))
    assert calls.notes == ["llm_json: 38 without a value (NULL). The first: This is no JSON."]


async def test_a_query_that_would_ask_too_often_asks_nobody_and_says_how_often(
    reviews: Path,
) -> None:
    models = Models()
    query = "SELECT llm_chat('demo', id::VARCHAR) FROM reviews ORDER BY stars"
    with pytest.raises(QueryUnusable, match="asks models 5000 times, and max_calls allows 1000"):
        await Sql(None).run(query, {"reviews": reviews}, 10, models.calls())
    assert not models.asked


@pytest.mark.parametrize(
    ("query", "seconds", "why"),
    [
        (
            "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r) SELECT count(*) FROM r",
            1.5,
            "takes longer than 1.5 seconds",
        ),
        ("SELECT list(range) FROM range(100_000_000)", 30, "more data than the 64 MB"),
    ],
)
async def test_a_query_ends_in_time_and_in_memory_and_leaves_no_process(
    query: str, seconds: float, why: str
) -> None:
    with pytest.raises(QueryUnusable, match=why):
        await Sql(None, seconds, 2**26).run(query, {}, 10)
    assert not _children()


def test_an_answer_has_so_many_bytes(locked: Any) -> None:
    rows = locked.sql("SELECT repeat('x', 400) FROM range(10)")
    found, is_all = sql_child._first(rows, 10, max_bytes=1000)
    assert (len(found), is_all) == (2, False)
    with pytest.raises(sql_child.Refused):
        sql_child._first(rows, 10, max_bytes=300)


async def test_who_goes_away_takes_the_child_and_its_calls_along(reviews: Path) -> None:
    models = Models(seconds=60)
    query = "SELECT llm_chat('demo', review) FROM reviews"
    sql = Sql(None, working=1)
    task = asyncio.create_task(sql.run(query, {"reviews": reviews}, 99, models.calls()))
    while models.at_once < AT_ONCE:
        await asyncio.sleep(0.01)
    assert (await sql.run("SELECT 1", {}, 1)).rows == [[1]], (
        "who waits for models is in nobody's way"
    )
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (models.at_once, _children()) == (0, [])


def _children() -> list[psutil.Process]:
    return children_running(str(PROGRAM), recursive=True)


@pytest.mark.parametrize(
    ("kind", "arguments", "refused"),
    [
        ("chat", ['"x"', '{"stream":true}'], InvalidOption),
        ("chat", ['"x"', '"hot"'], InvalidOption),
        ("chat", ["[1]", ""], InvalidOption),
        ("chat", ["[]", ""], InvalidOption),
        ("json", ['"x"', '{"type":"nothing"}'], InvalidOption),
        ("json", ['"x"', '"text"'], InvalidOption),
        ("chat", ['"x"', '"{\\"seed\\": 7}"'], None),
        ("chat", ["7", ""], None),
    ],
)
async def test_what_makes_no_request_is_refused_before_it_is_sent(
    kind: str, arguments: list[str], refused: type[ApiError] | None
) -> None:
    models = Models(0)
    asks = [[kind, "demo", *arguments]]
    if refused:
        with pytest.raises(refused):
            await models.calls().answers(asks)
    else:
        assert await models.calls().answers(asks)
    assert bool(models.asked) != bool(refused)


@pytest.mark.parametrize(
    ("refusals", "refused"),
    [
        ([(429, 0.0), (503, 0.0)], None),
        ([(404, None)], NotFound),
        ([(502, None)], BackEndFailed),
        ([(503, 61.0)], ApiError),
        ([(400, None)], ApiError),
    ],
)
async def test_a_refusal_is_waited_out_or_ends_the_query(
    refusals: list[tuple[int, float | None]], refused: type[ApiError] | None
) -> None:
    models = Models(0)
    models.refusals = [*refusals]
    asks = [["chat", "demo", '"x"', ""]]
    if refused is None:
        assert await models.calls().answers(asks) == ["X"]
        assert len(models.asked) == 3
    else:
        with pytest.raises(refused, match="llm_chat: not that one"):
            await models.calls().answers(asks)


HOSTILE = {
    "a text": "FROM read_text('{file}')",
    "a text as a blob": "SELECT * FROM read_blob('{file}')",
    "a csv": "FROM read_csv('{file}')",
    "a csv by its name": "FROM '{file}'",
    "lines of JSON": "FROM read_json('{file}')",
    "another table": "FROM read_parquet('{other}')",
    "another table by its name": "FROM '{other}'",
    "another table up a folder": "FROM '{table}/../other.parquet'",
    "what a file is": "FROM parquet_metadata('{other}')",
    "a sniffed csv": "FROM sniff_csv('{file}')",
    "another database": "FROM read_duckdb('{file}')",
    "a folder": "FROM glob('/*')",
    "a folder by a pattern": "FROM '/etc/*.conf'",
    "the environment": "SELECT getenv('HOME')",
    "the process": "FROM read_text('/proc/self/environ')",
    "the web": "FROM 'http://127.0.0.1:{port}/x.parquet'",
    "the web by a function": "FROM read_csv('http://127.0.0.1:{port}/x.csv')",
    "an object store": "FROM 's3://127.0.0.1:{port}/x.parquet'",
    "secrets": "FROM duckdb_secrets()",
    "a copy": "COPY reviews TO '{target}'",
    "a copy of a query": "COPY (SELECT 1) TO '{target}' (FORMAT csv)",
    "an export": "EXPORT DATABASE '{target}'",
    "an attached file": "ATTACH '{target}' AS x",
    "an extension": "INSTALL httpfs",
    "a loaded extension": "LOAD httpfs",
    "a setting": "SET enable_external_access = true",
    "a reset": "RESET lock_configuration",
    "a pragma": "PRAGMA enable_profiling",
    "a log": "FROM enable_logging('HTTP', storage := 'file', storage_path := '{target}')",
    "a call": "CALL enable_logging()",
    "a macro": "CREATE MACRO f() AS 1",
    "a table": "CREATE TABLE x AS SELECT 1",
    "an insert": "INSERT INTO reviews VALUES (1)",
    "a drop": "DROP VIEW reviews",
    "an update": "UPDATE reviews SET id = 1",
    "a plan": "EXPLAIN ANALYZE SELECT 1",
    "two": "SELECT 1; SELECT 2",
    "one and a copy": "SELECT 1; COPY reviews TO '{target}'",
    "a copy in a query": "FROM query('COPY reviews TO ''{target}''')",
    "a file in a query": "FROM query('FROM read_text(''{file}'')')",
    "a table by its name": "FROM query_table('{other}')",
    "a variable of Python": "FROM connection",
    "memory of the process": "FROM arrow_scan(1, 2, 3)",
    "a prepared statement": "EXECUTE x",
    "a parameter": "SELECT $1",
    "no function": "SELECT launch_missiles()",
    "no table": "FROM nothing",
    "no query": "",
    "no SQL": "What are the files here?",
    "half of it": "SELECT 1) UNION (SELECT 2",
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a listener that must have no connection in the end."""
    came = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            try:
                while True:
                    came.append(listener.accept())
            except OSError:
                return

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert not came


@pytest.fixture(scope="module")
def locked(reviews: Path) -> Any:
    """A database as the child opens it."""
    request = {"tables": {"reviews": str(reviews)}, "memory_bytes": 2**28}
    return sql_child._opened(request, None)


@pytest.mark.parametrize("query", HOSTILE.values(), ids=HOSTILE)
def test_a_query_reaches_nothing(
    locked: Any, reviews: Path, port: int, query: str, tmp_path: Path
) -> None:
    other, file = tmp_path / "other.parquet", tmp_path / "secret.csv"
    other.write_bytes(reviews.read_bytes())
    file.write_text("a,b\n1,2\n")
    before = reviews.read_bytes()
    said = query.format(
        file=file, other=other, table=reviews, port=port, target=tmp_path / "target"
    )
    with pytest.raises((duckdb.Error, sql_child.Refused)):
        locked.sql(sql_child._one_select(locked, said)).fetchall()
    assert (sorted(tmp_path.iterdir()), reviews.read_bytes()) == ([other, file], before)
    assert locked.sql("FROM reviews").aggregate("count(*)").fetchall() == [(5000,)]
