"""What `/analyze` asks of a model about your tables, as rows that teach it: of each question its SELECT and its answer.

    python examples/clients/sql_lessons.py lessons.csv orders > taught.csv

`lessons.csv` has the columns `question`, `sql` and `answer`; the tables that they are about follow. Each lesson makes
two rows of `prompt` and `completion`, for `/fine_tune_model` or `/tables`. Needs nothing but Python.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import Request, urlopen

AT_ONCE = 4
"""Queries of a key that the service runs at once."""
SECONDS = 600


def rows(
    lessons: Iterable[Mapping[str, str]], tables: Sequence[str], model: str, url: str, key: str
) -> Iterator[tuple[str, str]]:
    """Prompts as the model will get them, and what it should say. A refusal of the service ends it."""

    def asked(lesson: Mapping[str, str]) -> list[str]:
        sent = {
            "question": lesson["question"],
            "sql": lesson["sql"],
            "tables": list(tables),
            "modelName": model,
            "dry_run": True,
        }
        prompts: list[str] = _sent(f"{url.rstrip('/')}/analyze", key, sent)["prompts"]
        return prompts

    every = list(lessons)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for lesson, (write, tell) in zip(every, pool.map(asked, every), strict=True):
            # without blanks, as llama.cpp writes what is held to a schema
            yield (
                write,
                json.dumps({"sql": lesson["sql"]}, ensure_ascii=False, separators=(",", ":")),
            )
            yield tell, lesson["answer"]


def _sent(address: str, key: str, body: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = Request(address, json.dumps(body).encode(), headers)  # noqa: S310  it is yours
    with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        return json.load(answer)


def main() -> None:
    """From a file to standard output."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lessons", help="a CSV with the columns question, sql, answer")
    parser.add_argument("tables", nargs="+", help="the tables that they are about")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--url", default="http://127.0.0.1:3000")
    parser.add_argument("--key", default="none")
    asked = parser.parse_args()
    with open(asked.lessons, encoding="utf-8", newline="") as file:
        lessons = list(csv.DictReader(file))
    written = csv.writer(sys.stdout)
    written.writerow(["prompt", "completion"])
    written.writerows(rows(lessons, asked.tables, asked.model, asked.url, asked.key))


if __name__ == "__main__":
    main()
