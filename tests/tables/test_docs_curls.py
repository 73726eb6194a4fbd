"""Every curl of docs/tables.md about tables and predictions does what the page says."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.routes.openai.conftest import sdk_over
from tests.service import open_service
from tests.tables.shop import Shop

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text(encoding="utf-8")
PREDICTION = "$PREDICTION"
CSV = b"id,name,zip\n1,apple,007\n2,pear,8\n3,plum,\n"
CURL = re.compile(
    r"""^curl (?:-X (?P<method>\w+) )?"\$API(?P<path>[^"\n]+)"(?P<rest>[^\n]*)(?:\n(?P<json>\{.*?)\nJSON)?""",
    re.MULTILINE | re.DOTALL,
)


def section(title: str) -> list[re.Match[str]]:
    """The calls below a heading, in their order."""
    return list(CURL.finditer(PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(f"sqlite:///{tmp_path / 'shop.sqlite3'}").stocked()


def test_the_calls_of_the_page_work(tmp_path: Path, shop: Shop) -> None:
    with open_service(tmp_path / "data", databases={"shop": shop.setting(write=True)}) as service:
        client, names = service.client, {PREDICTION: PREDICTION}
        statuses = []
        calls = [
            *section("Tables"),
            *section("Fill a column by a model"),
            *section("Databases that requests may name"),
            section("Learn from a table")[-1],
        ]
        for call in calls:
            path = call["path"].replace(PREDICTION, names[PREDICTION])
            fields = dict(re.findall(r"-F (\w+)=([^@\s]+)", call["rest"]))
            if "-F file=@" in call["rest"]:
                answer = client.post(path, data=fields, files={"file": ("items.csv", CSV)})
            elif call["json"]:
                answer = client.post(path, json=json.loads(call["json"]))
            else:
                answer = client.request(call["method"] or "GET", path)
            if "prediction_id" in answer.text and answer.status_code == 202 and path == "/predict":
                names[PREDICTION] = answer.json()["prediction_id"]
                until_over(client, names[PREDICTION])
            statuses.append(
                (
                    call["method"] or ("POST" if call["json"] or fields else "GET"),
                    answer.status_code,
                )
            )
    assert statuses == [
        *[("POST", 201), ("GET", 200), ("GET", 200)],
        *[("POST", 200), ("POST", 202), ("GET", 200), ("GET", 200), ("POST", 409), ("POST", 409)],
        *[("POST", 202), ("POST", 202)],
        *[("GET", 200), ("DELETE", 200)],
    ], "a prediction that has succeeded is neither cancelled nor resumed"
    assert all(mood for (mood,) in shop.rows("SELECT mood FROM items"))


def test_the_ways_to_learn_from_a_table_work(tmp_path: Path, shop: Shop) -> None:
    rows = "".join(f"{number},fruit {number},{number:03}\n" for number in range(1, 21))
    shop.run("UPDATE items SET mood = 'good'")
    with open_service(tmp_path / "data", databases={"shop": shop.setting(write=True)}) as service:
        base = service.app.state.services.settings.base_models_dir / "demo"
        base.mkdir(parents=True)
        (base / "config.json").write_text("{}")
        files = {"file": ("items.csv", f"id,name,zip\n{rows}".encode())}
        table = service.client.post("/tables", data={"name": "items"}, files=files).json()
        *calls, _deletion = section("Learn from a table")
        for call, status in zip(calls, (200, 202), strict=True):
            answer = service.client.post(call["path"], json=json.loads(call["json"]))
            assert answer.status_code == status, answer.text
        code = PAGE.partition("## Learn from a table")[2].partition("```python\n")[2]
        names: dict[str, Any] = {"client": sdk_over(service.client), "table_id": table["table_id"]}
        exec(code.partition("```")[0], names)  # noqa: S102 - our own page
        assert names["job"].training_file.startswith("database shop: SELECT")


def until_over(client: TestClient, id: str) -> None:
    deadline = time.monotonic() + 60
    while client.get(f"/predict/{id}").json()["status"] != "succeeded":
        assert time.monotonic() < deadline
        time.sleep(0.05)
