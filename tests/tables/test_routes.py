"""Tables and databases over HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.service import Service, open_service
from tests.tables.shop import Shop

CSV = b"id,name,zip\n1,apple,007\n2,pear,\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("tables")
    url = f"sqlite:///{folder / 'shop.sqlite3'}"
    databases = {
        "shop": {"url": url, "write": True},
        "away": {"url": "postgresql://ada:secret@127.0.0.1:1/place"},
        "theirs": {"url": url, "workspaces": ["team"]},
    }
    Shop(url).stocked().close()
    with open_service(folder / "data", databases=databases) as service:
        yield service


def send(service: Service, content: bytes = CSV, **fields: Any) -> Any:
    files = {"file": ("items.csv", content)}
    return service.client.post("/tables", data={"name": "items", **fields}, files=files)


def test_a_table_comes_is_shown_replaced_and_goes(service: Service) -> None:
    come = send(service, types="id:text")
    assert (come.status_code, come.headers["location"]) == (201, "/tables/items")
    made = come.json()
    assert [(one["name"], one["type"]) for one in made["columns"]] == [
        ("id", "text"),
        ("name", "text"),
        ("zip", "text"),
    ]
    assert made["first_rows"][0] == {"id": "1", "name": "apple", "zip": "007"}
    assert (made["rows"], made["made_from"]["format"]) == (2, "CSV")
    assert service.client.get("/tables/ITEMS").json() == made
    again = send(service)
    assert (again.status_code, again.json()["where"]) == (409, "name")
    other = send(service, CSV + b"3,plum,1\n", replace="true").json()
    assert service.client.get("/tables/items").json()["rows"] == 3
    listed = service.client.get("/tables").json()
    assert [one["table_id"] for one in listed["tables"]] == [other["table_id"]]
    assert service.client.get("/tables?after=items").json() == {"tables": [], "has_more": False}
    assert service.client.delete("/tables/items").json()["table_id"] == other["table_id"]
    assert service.client.get("/tables/items").status_code == 404


@pytest.mark.parametrize(
    ("content", "fields", "status", "where"),
    [
        (CSV + b"3\n", {}, 422, "file"),
        (b"%PDF-1.7", {}, 415, "file"),
        (CSV, {"types": "id=text"}, 422, "types"),
        (CSV, {"name": "1st"}, 422, "name"),
    ],
)
def test_what_cannot_be_a_table_is_refused_and_leaves_nothing(
    service: Service, content: bytes, fields: dict[str, str], status: int, where: str
) -> None:
    refused = send(service, content, **fields)
    assert refused.status_code == status, refused.text
    assert f'"{where}"' in refused.text
    folder = service.app.state.services.settings.tables_dir
    assert not folder.exists() or not list(folder.iterdir())


def test_databases_are_listed_by_name_and_nothing_tells_where_they_are(service: Service) -> None:
    answer = service.client.get("/databases")
    shop, away = answer.json()["databases"]
    assert shop == {
        "name": "shop",
        "kind": "sqlite",
        "write": True,
        "statement_seconds": 30.0,
        "reachable": True,
        "reason": None,
    }
    assert (away["name"], away["reachable"]) == ("away", False)
    assert not [word for word in ("secret", "place", "ada", ".sqlite3") if word in answer.text]
