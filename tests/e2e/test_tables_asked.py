"""Tables over a real server and the demo model: models in SQL, and a model that learns to write the SQL itself."""

import csv
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.conftest import ROOT, Server

REVIEWS = b"id,review\n1,It broke after a day.\n2,Bright and pretty.\n3,\n"
QUERY = """SELECT id, llm_chat('demo', review, {'max_tokens': 8}) AS said,
    llm_json('demo', review, '{"enum": ["praise", "blame"]}')->>'$' AS mood,
    list_cosine_similarity(llm_embed('all-minilm-l6-v2-int8', review),
        llm_embed('all-minilm-l6-v2-int8', 'It is broken.')) AS near
    FROM reviews ORDER BY id"""
RECIPE = (
    (ROOT / "docs" / "tables.md")
    .read_text(encoding="utf-8")
    .partition("## Teach a model of your own to write the SQL\n")[2]
    .partition("```sh\n")[2]
    .partition("```")[0]
)
STRICT = 'set -e\ncurl() { command curl --silent --show-error --fail-with-body "$@"; }\n'


def test_models_that_are_there_answer_in_a_query(server: Server) -> None:
    made = server.client.post(
        "/tables", data={"name": "reviews"}, files={"file": ("reviews.csv", REVIEWS)}
    )
    assert made.status_code == 201, made.text
    response = server.client.post("/sql", json={"query": QUERY})
    assert response.status_code == 200, response.text
    told = response.json()
    assert told["types"] == ["BIGINT", "VARCHAR", "VARCHAR", "FLOAT"]
    (_, said, mood, near), (_, _, _, far), empty = told["rows"]
    assert said
    assert mood in ("praise", "blame")
    assert near > far + 0.1
    assert empty == [3, None, None, None]
    assert (told["calls"], told["notes"]) == (7, [])
    assert told["usage"]["prompt_tokens"]
    assert 4 < told["usage"]["completion_tokens"] <= 40


class Asked(NamedTuple):
    """A question, and the number that answers it."""

    question: str
    number: int


def unseen() -> Iterator[Asked]:
    """Questions in the forms of the lessons, about customers and days that stand in none of them."""
    with (ROOT / "examples" / "orders.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    lessons = (ROOT / "examples" / "lessons.csv").read_text(encoding="utf-8")
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE orders (customer INTEGER, day TEXT, amount INTEGER)")
    database.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
    select = "SELECT customer, count(*), sum(amount), max(amount) FROM orders GROUP BY customer"
    for customer, count, total, largest in database.execute(select):
        if f"customer {customer}?" not in lessons:
            yield Asked(f"How many orders came from customer {customer}?", count)
            yield Asked(f"What is the total amount of customer {customer}?", total)
            yield Asked(f"What is the largest amount of customer {customer}?", largest)
    for day, count in database.execute("SELECT day, count(*) FROM orders GROUP BY day"):
        if day not in lessons:
            yield Asked(f"How many orders came on {day}?", count)
    database.close()


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_a_model_that_learned_from_lessons_asks_what_stands_in_none(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    ran = subprocess.run(
        ["bash", "-c", STRICT + RECIPE],
        cwd=tmp_path,
        env=os.environ
        | {
            "API": str(server.client.base_url).rstrip("/"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=3000,
    )
    assert ran.returncode == 0, ran.stdout[-1000:] + ran.stderr
    right = repaired = told = 0
    questions = list(unseen())
    assert len(questions) == 15
    for question, number in questions:
        sent = {"modelName": "analyst", "question": question, "tables": ["orders"]}
        answer = server.client.post("/analyze", json=sent).json()
        is_right = [[str(cell) for cell in row] for row in answer["rows"]] == [[str(number)]]
        right += is_right
        repaired += is_right and answer["tries"] > 1
        told += is_right and str(number) in re.findall(r"\d+", answer["answer"] or "")
        sys.stdout.write(f"{question} {number}: {answer}\n")
    sys.stdout.write(f"{right} of 15 right, {repaired} of them repaired, {told} told\n")
    assert right >= 8
    assert told >= 5
