"""SQL over tables and databases by HTTP, with models of the service in it."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from api.tables import analyse, sql
from api.tables.shelf import Column, Contents
from examples.clients.duckdb_functions import register
from tests.fakes import FakeRuntime
from tests.service import Service, listening_service, open_service
from tests.tables.shop import Shop

KEY = "the-first-admin"
ROWS = "SELECT i AS id, 'review ' || (i % 2) AS review, i % 2 AS stars FROM range(1, 5) r(i)"
PAGE = Path(__file__).parents[2] / "docs" / "tables.md"
CURLS = re.findall(
    r'curl "\$API(/sql|/analyze)" .*?<<\'JSON\'\n(.*?)\nJSON', PAGE.read_text(), re.DOTALL
)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all of these, with a table and a shop."""
    folder = tmp_path_factory.mktemp("sql")
    shop = Shop(f"sqlite:///{folder / 'shop.sqlite3'}").stocked(3)
    databases = {"shop": shop.setting(), "theirs": shop.setting(workspaces=["theirs"])}
    with open_service(folder, api_key=KEY, databases=databases) as service:
        service.client.headers["Authorization"] = f"Bearer {KEY}"
        asyncio.run(_keep(service, "Reviews"))
        yield service
    shop.close()


async def _keep(service: Service, name: str) -> None:
    def fill(path: Path) -> Contents:
        duckdb.connect().execute(f"COPY ({ROWS}) TO '{path}'")
        columns = [Column("id", "integer"), Column("review", "text"), Column("stars", "integer")]
        return Contents(columns, 4, [{"id": 1, "review": "review 1", "stars": 1}])

    await service.app.state.services.tables.add(name, {"kind": "test"}, fill)


@pytest.fixture
def service(opened: Service) -> Service:
    """The service, whose model nobody has asked yet."""
    opened.runtime.history.clear()
    return opened


def answered(service: Service, status: int = 200, **fields: Any) -> Any:
    """What `/sql` says."""
    response = service.client.post("/sql", json=fields)
    assert response.status_code == status, response.text
    return response.json()


def test_a_model_is_asked_from_sql_in_the_name_of_the_key(service: Service) -> None:
    made = {"alias": "analyst", "scopes": ["use"], "models": ["demo", "all-minilm-l6-v2-int8"]}
    key = service.client.post("/keys", json=made).json()
    mine = {"Authorization": f"Bearer {key['key']}"}
    query = """SELECT id, llm_chat('demo', review) AS said, len(llm_embed('all-minilm-l6-v2-int8', review)) AS long
        FROM reviews ORDER BY id"""
    response = service.client.post("/sql", json={"query": query, "limit": 2}, headers=mine)
    assert response.status_code == 200, response.text
    assert response.json() == {
        "columns": ["id", "said", "long"],
        "types": ["BIGINT", "VARCHAR", "BIGINT"],
        "rows": [[1, "review 1", 64], [2, "review 0", 64]],
        "rows_left_out": 2,
        "calls": 4,
        "usage": {"prompt_tokens": 10, "completion_tokens": 4},
        "notes": [],
    }
    assert len(service.runtime.history) == 2
    wanted = {"": (1, 0), "demo": (2, 6), "all-minilm-l6-v2-int8": (1, 4)}
    assert used_by(service, key["id"], len(wanted)) == wanted
    other = "SELECT llm_chat('forbidden', review) FROM reviews"
    refused = service.client.post("/sql", json={"query": other}, headers=mine)
    assert refused.status_code == 404
    assert "llm_chat: No model named 'forbidden'" in refused.json()["detail"]


def used_by(service: Service, key_id: str, models: int) -> dict[str, tuple[int, int]]:
    """Requests and tokens of prompts by model, as soon as they are written of so many models."""
    deadline = time.monotonic() + 60
    while True:
        used = service.client.get("/usage", params={"key_id": key_id}).json()["usage"]
        if len(used) >= models or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return {one["model"]: (one["requests"], one["prompt_tokens"]) for one in used}


@pytest.mark.parametrize(
    ("fields", "status", "told"),
    [
        ({"query": "SELECT llm_chat('demo', 'x')", "max_calls": 0}, 422, "llm_chat does not exist"),
        ({"query": "SELECT 1; SELECT 2"}, 422, "2 statements"),
        ({"query": "FROM reviews", "tables": ["none"]}, 404, "No table 'none'"),
        ({"query": "FROM review"}, 422, "review does not exist! `GET /tables` lists"),
        ({"query": "SELECT 1", "database": "shop", "tables": ["reviews"]}, 422, "Tables or a"),
        ({"query": "SELECT 1", "database": "theirs"}, 404, "No database 'theirs'"),
        (
            {"query": "SELECT llm_chat('demo', name) FROM items", "database": "shop"},
            422,
            "llm_chat",
        ),
        ({"query": "DELETE FROM items", "database": "shop"}, 422, "only one SELECT"),
        ({"query": "SELECT _llm('chat', 'demo', 'no JSON', '')"}, 422, "no JSON"),
        (
            {"query": "SELECT llm_chat('demo', ('1' || repeat('0', 5000))::JSON)"},
            422,
            "too deep or long",
        ),
        (
            {"query": "SELECT llm_chat('demo', (repeat('[', 5000) || repeat(']', 5000))::JSON)"},
            422,
            "",
        ),
    ],
)
def test_what_cannot_be_run_is_a_fact(
    service: Service, fields: dict[str, Any], status: int, told: str
) -> None:
    assert told in answered(service, status, **fields)["detail"]
    assert not service.runtime.history


def test_without_its_libraries_the_extra_is_named(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "LIBRARIES", ("duckdb", "no_such_library"))
    assert "llm-fastapi[tables]" in answered(service, 503, query="SELECT 1")["detail"]


def test_a_database_is_read_as_far_as_is_asked_for(service: Service) -> None:
    query = "SELECT id, name, price, sold FROM items ORDER BY id"
    said = answered(service, query=query, database="shop", limit=2)
    assert said["columns"] == ["id", "name", "price", "sold"]
    assert said["types"] == ["BIGINT", "VARCHAR", "DOUBLE", "NULL"]
    assert said["rows"] == [[1, "item 1", 0.25, None], [2, "item 2", 0.5, None]]
    assert said["rows_left_out"] is None
    assert answered(service, query=query, database="shop")["rows_left_out"] == 0


def test_a_database_is_read_before_models_can_be_asked(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.app.state.services.queries.sql, "_ask", None)
    assert answered(service, query="SELECT 1", database="shop")["rows"] == [[1]]


def test_an_answer_that_is_no_value_of_its_schema_is_null(service: Service) -> None:
    service.runtime.will_answer("many")
    said = answered(service, query="""SELECT llm_json('demo', 'Go?', '{"type": "integer"}') AS n""")
    assert said["rows"] == [[None]]
    assert "without a value (NULL). The first: " in said["notes"][0]


def asked(service: Service, *answers: str, **fields: Any) -> Any:
    """What `/analyze` says when the model answers so."""
    service.runtime.will_answer(*answers)
    sent = {"modelName": "demo", "question": "How many are there?", **fields}
    response = service.client.post("/analyze", json=sent)
    assert response.status_code == 200, response.text
    return response.json()


def written(sql: str) -> str:
    """A query as the model writes it."""
    return json.dumps({"sql": sql})


def test_a_question_becomes_a_query_and_its_rows_the_answer(service: Service) -> None:
    wrong, right = "SELECT count(revue) FROM reviews", "SELECT count(*) AS n FROM reviews"
    said = asked(service, written(wrong), written(right), "There are four.", tables=["reviews"])
    assert said.pop("usage")["completion_tokens"] >= len(f"{wrong} {right} There are four.".split())
    assert said == {
        "answer": "There are four.",
        "reason": None,
        "sql": right,
        "tries": 2,
        "columns": ["n"],
        "types": ["BIGINT"],
        "rows": [[4]],
        "rows_left_out": 0,
    }
    first, second, last = service.runtime.history
    told = first.messages[-1].content
    assert (
        'CREATE TABLE "Reviews" (id BIGINT, review VARCHAR, stars BIGINT); -- 4 rows; the first:'
        in told
    )
    assert '-- {"id": 1, "review": "review 1", "stars": 1}' in told
    assert first.options.json_schema is not None
    assert 'Referenced column "revue" not found' in second.messages[-1].content
    assert '["n"]\n[4]' in last.messages[-1].content
    assert [one.options.temperature for one in (first, second, last)] == [0, 0, 0]


def test_a_question_about_a_database_is_answered_from_it(service: Service) -> None:
    query = "SELECT max(price) FROM items"
    said = asked(service, written(query), "0.75.", database="shop")
    assert (said["answer"], said["rows"], said["tries"]) == ("0.75.", [[0.75]], 1)
    told = service.runtime.history[0].messages[-1].content
    assert "SQLite's SQL" in told
    assert "CREATE TABLE items (id INTEGER, name TEXT, price NUMERIC(8, 2), sold DATE" in told
    assert '-- {"id": 1, "name": "item 1", "price": 0.25, "sold": null, "mood": null}' in told


def test_a_query_of_one_s_own_is_answered_from_and_prompts_are_shown(service: Service) -> None:
    sent = {"modelName": "demo", "question": "How many are there?", "tables": ["reviews"]}
    query = "SELECT count(*) AS n FROM reviews"
    said = asked(service, "There are four.", sql=query, tables=["reviews"])
    assert (said["answer"], said["sql"], said["tries"]) == ("There are four.", query, 0)
    (told,) = (one.messages[-1].content for one in service.runtime.history)
    asked(service, written(query), "There are four.", tables=["reviews"])
    both = [one.messages[-1].content for one in service.runtime.history[1:]]
    assert both[1] == told
    shown = service.client.post("/analyze", json={**sent, "sql": query, "dry_run": True})
    assert shown.json() == {"prompts": both}
    shown = service.client.post("/analyze", json={**sent, "dry_run": True})
    assert shown.json() == {"prompts": both[:1]}
    assert len(service.runtime.history) == 3
    refused = service.client.post("/analyze", json={**sent, "sql": "SELECT revue FROM reviews"})
    assert (refused.status_code, refused.json()["where"]) == (422, "sql")
    assert '"revue" not found' in refused.json()["detail"]


@pytest.mark.parametrize(
    ("left_out", "room", "told"),
    [
        (0, 100, '["n"]\n[1]\n[22]\n[333]'),
        (7, 100, '["n"]\n[1]\n[22]\n[333]\nand 7 rows more'),
        (None, 100, '["n"]\n[1]\n[22]\n[333]\nand perhaps more rows'),
        (7, 8, '["n"]\n[1]\n[22]\nand 8 rows more'),
        (0, 2, '["n"]\n[1...\nand 2 rows more'),
    ],
)
def test_a_model_is_told_how_many_rows_it_does_not_see(
    left_out: int | None, room: int, told: str
) -> None:
    rows = sql.Rows(["n"], ["BIGINT"], [[1], [22], [333]], left_out)
    assert analyse.written(rows, room) == told


def test_what_a_misled_model_writes_is_not_run(service: Service, tmp_path: Path) -> None:
    target, count = tmp_path / "stolen.csv", len(service.runtime.history)
    said = asked(
        service,
        "I would rather not.",
        written(f"SELECT 1; COPY reviews TO '{target}'"),
        written("SELECT llm_chat('demo', review) FROM reviews"),
        written("FROM read_text('/etc/passwd')"),
    )
    assert (said["answer"], said["rows"], said["tries"]) == (None, [], 4)
    assert said["sql"] == "FROM read_text('/etc/passwd')"
    assert "No query of the model could be run" in said["reason"]
    assert "file system operations are disabled" in said["reason"]
    assert not target.exists()
    assert len(service.runtime.history) - count == 4


@pytest.mark.parametrize(("path", "sent"), CURLS, ids=[path for path, _ in CURLS])
def test_what_the_page_shows_is_answered(service: Service, path: str, sent: str) -> None:
    if path == "/analyze":
        service.runtime.will_answer(written("SELECT min(review) FROM reviews"), "Review 0.")
    response = service.client.post(path, json=json.loads(sent))
    assert response.status_code == 200, response.text
    assert len(response.json().get("prompts", ())) == 2 or response.json()["rows"]


def test_the_page_shows_both() -> None:
    assert [path for path, _ in CURLS] == ["/sql", "/sql", "/analyze", "/analyze"]


def test_a_duckdb_of_one_s_own_asks_too(tmp_path: Path) -> None:
    runtime = FakeRuntime(lambda messages: json.dumps(messages[-1].content))
    with listening_service(tmp_path, runtime) as (port, _), duckdb.connect() as connection:
        register(connection, f"http://127.0.0.1:{port}")
        query = """SELECT llm_chat('demo', t), len(llm_embed('all-minilm-l6-v2-int8', t)),
                llm_json('demo', t, '{"type": "string"}')->>'$'
            FROM (VALUES ('a'), ('b'), ('a'), (NULL)) v(t)"""
        rows = connection.execute(query).fetchall()
        assert rows == [('"a"', 64, "a"), ('"b"', 64, "b"), ('"a"', 64, "a"), (None, None, None)]
        assert len(runtime.history) == 4
        with pytest.raises(duckdb.Error, match="404"):
            connection.execute("SELECT llm_chat('none', 'x')")
