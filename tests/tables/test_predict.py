"""Predictions over HTTP: the rows of a table and of a database, each asked once, and only where there is no value."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from api.tables.asked import value_of
from api.tables.described import of_database
from api.tables.kept import Kept
from api.tables.target import Target
from tests.service import Service, open_service
from tests.tables.conftest import new_database
from tests.tables.shop import Shop

CSV = b"name,price,mood\napple,1.5,\npear,2,happy\n,3,\nplum,,\n"
OVER = ("succeeded", "failed", "cancelled")


@pytest.fixture
def served(shop: Shop, tmp_path: Path) -> Iterator[Service]:
    """The service over a shop, whose column may be filled, and which may also only be read."""
    databases = {"shop": shop.setting(write=True), "read": shop.setting()}
    with open_service(tmp_path / "data", databases=databases) as service:
        yield service


def begun(service: Service, status: int = 202, **fields: Any) -> Any:
    sent = {"model_name": "demo", "input": "name", "into": "mood", **fields}
    answer = service.client.post("/predict", json=sent)
    assert answer.status_code == status, answer.text
    return answer.json()


def ended(service: Service, made: Any, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        now = service.client.get(f"/predict/{made['prediction_id']}").json()
        if now["status"] in OVER:
            return now
        assert time.monotonic() < deadline, now
        time.sleep(0.02)


def log(service: Service, made: Any) -> str:
    return service.client.get(f"/predict/{made['prediction_id']}/log").text


def cells(service: Service, name: str) -> list[tuple[Any, ...]]:
    path = service.app.state.services.tables.path(name)
    return duckdb.connect().execute(f"SELECT * FROM '{path}'").fetchall()


def test_a_column_of_a_database_is_filled_where_it_is_null(
    served: Service, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.tables.target.PAGE_ROWS", 20)
    monkeypatch.setattr("api.tables.kept.ROWS_A_WRITE", 7)
    shop.stocked(50).run("UPDATE items SET mood = 'kept' WHERE id = 7")
    dry = begun(served, 200, database="shop", table="items", input="{name}?", dry_run=True)
    assert dry == {"prompts": ["item 1?", "item 2?", "item 3?"]}
    done = ended(served, begun(served, database="shop", table="items", input="{id}: {name}?"))
    assert (done["status"], done["rows"], done["completed"], done["failed"]) == (
        *("succeeded", 49),
        *(49, 0),
    ), log(served, done)
    moods = dict(shop.rows("SELECT id, mood FROM items"))
    assert (moods[1], moods[7], moods[50]) == ("1: item 1?", "kept", "50: item 50?")
    assert len(moods) == 50 == len(set(moods.values()))
    asked = [call.messages[-1].content for call in served.runtime.history]
    assert len(asked) == 49 == len(set(asked))
    again = ended(served, begun(served, database="shop", table="items"))
    assert (again["status"], again["rows"]) == ("succeeded", 0)


@pytest.mark.parametrize(
    "harm",
    ["price = 'cheap'", "sold = 'yesterday'", "name = hex(zeroblob(6000000))"],
    ids=["number", "date", "large"],
)
def test_a_value_that_cannot_be_read_costs_its_row_alone(tmp_path: Path, harm: str) -> None:
    """SQLite keeps whatever is put into a column."""
    shop = Shop(f"sqlite:///{tmp_path / 'a'}").stocked(50)
    shop.run(f"UPDATE items SET {harm} WHERE id = 2")
    with open_service(tmp_path / "data", databases={"shop": shop.setting(write=True)}) as service:
        wanted: dict[str, Any] = {"database": "shop", "table": "items"}
        wanted["input"] = "{name} {price} {sold}"
        assert len(begun(service, 200, **wanted, dry_run=True)["prompts"]) == 2
        done = ended(service, begun(service, **wanted))
        assert (done["status"], done["completed"], done["failed"]) == ("succeeded", 49, 1)
        assert "row [\"2\"]: A value of database 'shop' cannot be read: " in log(service, done)
    assert shop.rows("SELECT id FROM items WHERE mood IS NULL") == [(2,)]
    shop.close()


def test_a_row_that_cannot_be_written_costs_itself_alone(tmp_path: Path) -> None:
    """What SQLite has of it beside is too large to be written again."""
    shop = Shop(f"sqlite:///{tmp_path / 'a'}").stocked(3)
    shop.run("ALTER TABLE items ADD photo", "UPDATE items SET photo = zeroblob(11000000)")
    shop.run("UPDATE items SET photo = NULL WHERE id > 1")
    with open_service(tmp_path / "data", databases={"shop": shop.setting(write=True)}) as service:
        done = ended(service, begun(service, database="shop", table="items"))
        assert (done["status"], done["completed"], done["failed"]) == ("succeeded", 2, 1)
        assert 'row ["1"]: A value' in log(service, done)
    shop.close()


def test_a_key_that_python_has_no_value_for_tells_its_row(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.tables.target.PAGE_ROWS", 1)
    shop = Shop(new_database(postgres))
    days = ("-infinity", "0044-03-15 BC", "2026-05-31", "infinity")
    shop.run("CREATE TABLE days (day DATE PRIMARY KEY, said TEXT)")
    shop.run("INSERT INTO days (day) VALUES " + ", ".join(f"('{day}')" for day in days))
    database = shop.opened(write=True)
    target = Target(database, "days", "said")
    rows = list(target.rows(["day"]))
    assert rows == [(f'["{day}"]', {"day": day}) for day in days]
    assert target.write([(key, "x") for key, _ in rows]) == []
    assert shop.rows("SELECT count(*) FROM days WHERE said = 'x'") == [(4,)]
    database.close()
    shop.close()


def test_what_somebody_else_has_set_meanwhile_is_left(served: Service, shop: Shop) -> None:
    shop.run("CREATE TABLE notes (a TEXT, b INTEGER, said TEXT, stars INTEGER, PRIMARY KEY (a, b))")
    shop.run("INSERT INTO notes (a, b, said) VALUES ('x', 1, '4'), ('x', 2, 'none'), ('y', 1, '5')")
    schema = {"type": "integer"}
    made = begun(
        served,
        database="shop",
        table="notes",
        input="said",
        into="stars",
        response_schema=schema,
    )
    shop.run("UPDATE notes SET stars = 1 WHERE a = 'y'")
    done = ended(served, made)
    assert done["status"] == "succeeded", log(served, done)
    found = {(a, b): stars for a, b, stars in shop.rows("SELECT a, b, stars FROM notes")}
    assert (found[("x", 1)], found[("x", 2)]) == (4, None)
    assert found[("y", 1)] in (1, 5)  # set before it was read, or after
    assert 'row ["x", "2"]: The model' in log(served, done)
    assert "it is no JSON" in log(served, done)


def test_a_database_is_only_filled_where_that_can_be_done(served: Service, shop: Shop) -> None:
    shop.stocked(2).run("CREATE TABLE loose (name TEXT, mood TEXT)")
    for fields, status, where in (
        ({"database": "read", "table": "items"}, 422, "database"),
        ({"database": "shop", "table": "loose"}, 422, "table"),
        ({"database": "shop", "table": "items", "into": "nothing"}, 422, "into"),
        ({"database": "shop", "table": "items", "into": "id"}, 422, "into"),
        ({"database": "shop", "table": "items", "input": "{colour}?"}, 422, "input"),
        ({"database": "shop", "table": "items", "input": "What?"}, 422, "input"),
        ({"database": "shop", "table": "items", "result": "made"}, 422, "result"),
        ({"database": "shop", "select": "SELECT 1"}, 422, "result"),
        ({"database": "shop", "select": "DROP TABLE items", "result": "made"}, 422, "select"),
        (
            {"database": "shop", "select": 'SELECT 1 AS "a\nb"', "result": "made"},
            *(422, "'where': 'select'"),
        ),
        ({"database": "shop", "table": "nowhere"}, 404, "nowhere"),
        ({"database": "nobody", "table": "items"}, 404, "nobody"),
        ({"table": "nowhere"}, 404, "nowhere"),
        ({"database": "shop", "table": "items", "model_name": "nobody"}, 404, "nobody"),
        ({}, 422, "table"),
        ({"select": "SELECT 1"}, 422, "select"),
        (
            {"database": "shop", "table": "items", "response_schema": {"type": "colour"}},
            *(422, "response_schema"),
        ),
    ):
        assert where in str(begun(served, status, **fields)), fields
    assert served.client.get("/predict").json() == {"predictions": [], "has_more": False}
    assert not list(served.app.state.services.settings.predictions_dir.glob("*"))


def test_rows_of_a_select_come_to_a_table_of_ours(served: Service, shop: Shop) -> None:
    shop.stocked(3)
    done = ended(
        served,
        begun(
            served,
            database="read",
            select="SELECT id, name, price, sold FROM items WHERE id > 1 ORDER BY id",
            input="{name} at {price}",
            into="said",
            result="made",
        ),
    )
    assert (done["status"], done["completed"], done["result"]) == ("succeeded", 2, "made"), done
    assert done["database"] == "read"
    said = cells(served, "made")
    assert [row[:3] for row in said] == [(2, "item 2", 0.5), (3, "item 3", 0.75)]
    assert [row[-1] for row in said] == ["item 2 at 0.5", "item 3 at 0.75"]
    assert shop.rows("SELECT count(*) FROM items WHERE mood IS NULL") == [(3,)]


@pytest.fixture
def items(tmp_path: Path) -> Iterator[Service]:
    """The service with a table of ours."""
    with open_service(tmp_path / "data") as service:
        send(service)
        yield service


def send(service: Service, **fields: str) -> Any:
    files = {"file": ("items.csv", CSV)}
    return service.client.post("/tables", data={"name": "items", **fields}, files=files)


def test_a_table_of_ours_has_its_column_when_all_is_done(items: Service) -> None:
    made = begun(items, table="items")
    done = ended(items, made)
    assert (done["rows"], done["completed"], done["failed"]) == (3, 2, 1)
    assert cells(items, "items") == [
        *[("apple", 1.5, "apple"), ("pear", 2.0, "happy")],
        *[(None, 3.0, None), ("plum", None, "plum")],
    ]
    assert "row 2: The input is empty." in log(items, made)
    assert (
        items.client.get("/tables/items").json()["made_from"]["prediction"] == made["prediction_id"]
    )
    schema = {"type": "number"}
    fields: dict[str, Any] = {"input": "price", "into": "twice", "result": "doubled"}
    fields["response_schema"] = schema
    done = ended(items, begun(items, table="items", limit=2, **fields))
    assert (done["status"], done["result"], done["rows"]) == ("succeeded", "doubled", 2)
    assert [row[-1] for row in cells(items, "doubled")] == [1.5, 2.0, None, None]
    assert len(cells(items, "items")[0]) == 3


def test_one_is_cancelled_resumed_and_asks_no_row_twice(items: Service) -> None:
    items.runtime.delay_seconds = 0.5
    made = begun(items, table="items", into="said")
    early = items.client.delete(f"/predict/{made['prediction_id']}")
    assert early.status_code == 409
    while not (told := items.client.get(f"/predict/{made['prediction_id']}").json())["rows"]:
        time.sleep(0.02)
    cancelled = items.client.post(f"/predict/{made['prediction_id']}/cancel")
    assert cancelled.status_code == 202
    assert ended(items, made)["status"] == "cancelled"
    items.runtime.delay_seconds = 0
    send(items, replace="true")  # another table by now
    deadline = time.monotonic() + 60
    while items.client.post(f"/predict/{made['prediction_id']}/resume").status_code == 409:
        assert time.monotonic() < deadline
    done = ended(items, made)
    assert (done["status"], done["completed"], done["failed"]) == ("succeeded", 3, 1), told
    assert done["result"].startswith("items_")
    assert "another one by now" in done["notice"]
    assert [row[-1] for row in cells(items, done["result"])] == ["apple", "pear", None, "plum"]
    assert items.client.delete(f"/predict/{made['prediction_id']}").status_code == 200
    assert items.client.get(f"/predict/{made['prediction_id']}").status_code == 404


def test_a_model_that_is_gone_ends_it_with_the_reason(items: Service) -> None:
    assert items.client.post("/createModel/zora", json={"baseModel": "demo"}).status_code == 201
    items.runtime.delay_seconds = 0.3
    made = begun(items, table="items", into="said", model_name="zora")
    assert items.client.delete("/deleteModel/zora").status_code == 200
    items.runtime.delay_seconds = 0
    done = ended(items, made)
    if done["status"] == "failed":  # else it was quicker
        assert "zora" in done["reason"]


def test_what_is_no_value_of_its_column_is_told_and_not_lost(items: Service) -> None:
    files = {"file": ("counts.csv", b"name,n\n7,\nseven,\n2.5,\nkept,1\n")}
    assert items.client.post("/tables", data={"name": "counts"}, files=files).status_code == 201
    done = ended(items, begun(items, table="counts", into="n"))
    assert (done["status"], done["completed"], done["failed"]) == ("succeeded", 1, 2)
    assert [row[1] for row in cells(items, "counts")] == [7, None, None, 1]
    told = log(items, done)
    assert "row 1: 'seven' is no integer." in told
    assert "row 2: '2.5' is no integer." in told
    assert "file_row_number" in str(begun(items, 422, table="counts", into="file_row_number"))


def test_half_a_character_of_an_answer_is_no_value() -> None:
    choice = {"message": {"content": "a \ud83d"}, "finish_reason": "stop"}
    value, why = value_of(json.dumps({"choices": [choice]}).encode(), None)
    assert (value, why) == (None, "The answer holds half a surrogate pair.")


def test_what_is_told_to_be_written_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "output.jsonl").touch()
    (tmp_path / "errors.jsonl").touch()
    kept = Kept(tmp_path)
    kept.add("[1]", "x")
    done: list[str] = []
    monkeypatch.setattr("os.fsync", lambda _: done.append("synced"))

    def write(values: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        done.append(str(values))
        return []

    kept.apply(write)
    assert done[:3] == ["synced", "synced", "[('[1]', 'x')]"]
    kept.close()


def test_a_table_that_goes_away_ends_it_at_once(
    served: Service, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.tables.target.PAGE_ROWS", 1)
    shop.stocked(200)
    served.runtime.delay_seconds = 0.05
    made = begun(served, database="shop", table="items")
    while not served.runtime.history:
        time.sleep(0.01)
    shop.run("ALTER TABLE items RENAME TO others")
    done = ended(served, made)
    assert (done["status"], "refuses the query" in done["reason"]) == ("failed", True)
    assert len(served.runtime.history) < 200, "it asked on for a table that is gone"


@pytest.mark.parametrize("tries", [1000, 2])
def test_a_row_that_somebody_else_has_locked_is_written_later_and_not_lost(
    served: Service, shop: Shop, monkeypatch: pytest.MonkeyPatch, tries: int
) -> None:
    """It is tried again, so many times; then the prediction fails, and goes on when it is resumed."""
    monkeypatch.setattr("api.tables.select_child.LOCK_SECONDS", 0.1)
    monkeypatch.setattr("api.tables.predictions.MOST_TRIES", tries)
    served.app.state.services.predictions._runner.line._retry_seconds = 0.05
    shop.stocked(3)
    with shop.locked():
        made = begun(served, database="shop", table="items")
        if tries == 2:
            failed = ended(served, made)
            assert (failed["status"], "is busy with" in failed["reason"]) == ("failed", True)
            assert (failed["completed"], failed["failed"]) == (3, 0)
        deadline = time.monotonic() + 60
        while log(served, made).count("waits: Database 'shop' is busy") < 2:
            assert time.monotonic() < deadline
        assert shop.rows("SELECT count(*) FROM items WHERE mood IS NULL") == [(3,)]
    if tries == 2:
        assert served.client.post(f"/predict/{made['prediction_id']}/resume").status_code == 202
    done = ended(served, made)
    assert (done["status"], done["completed"], done["failed"]) == ("succeeded", 3, 0)
    assert shop.rows("SELECT mood FROM items ORDER BY id") == [(f"item {n}",) for n in (1, 2, 3)]
    assert len(served.runtime.history) == 3, "asked once"


def test_a_row_that_is_too_large_is_not_asked_and_its_like_not_told(
    served: Service, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.tables.target.MAX_ROW_BYTES", 1000)
    monkeypatch.setattr("api.tables.described.MAX_ROW_BYTES", 1000)
    shop.stocked(3).run(f"UPDATE items SET name = '{'x' * 999}\u00e9' WHERE id = 2")
    made = ended(served, begun(served, database="shop", table="items"))
    assert (made["status"], made["completed"], made["failed"]) == ("succeeded", 2, 1)
    assert 'row ["2"]: The cells of the input have more than' in log(served, made)
    assert shop.rows("SELECT mood FROM items ORDER BY id") == [("item 1",), (None,), ("item 3",)]
    told = of_database(shop.opened())
    assert ("item 1" in told, "xxx" in told) == (True, False)


def test_a_select_makes_no_full_disk(
    served: Service, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.tables.selected.MOST_CHARACTERS", 100)
    shop.stocked(50)
    told = begun(served, 422, database="shop", select="SELECT id, name FROM items", result="made")
    assert "more than 100 characters" in str(told)
    assert not list(served.app.state.services.settings.predictions_dir.glob("*"))


def test_a_row_without_a_key_keeps_no_other_from_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.tables.target.PAGE_ROWS", 1)
    shop = Shop(f"sqlite:///{tmp_path / 'a'}")
    shop.run("CREATE TABLE notes (a TEXT, b TEXT, said TEXT, PRIMARY KEY (a, b))")
    shop.run("INSERT INTO notes (a, b) VALUES (NULL, 'x'), ('', 'y'), ('a', NULL), ('b', 'c')")
    target = Target(shop.opened(write=True), "notes", "said")
    assert (target.count(), [key for key, _ in target.rows([])]) == (2, ['["", "y"]', '["b", "c"]'])
    shop.close()
