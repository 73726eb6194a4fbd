"""What the demo model can do through a running service: JSON by schemas without bounds, and calls of functions.

    python examples/recipe/served.py http://127.0.0.1:8000

It asks `/v1/chat/completions` with functions, schemas, names and values that training never draws, and writes what it
found into `abilities.json`; `make.py --measure-only` brings it into the card.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import jsonschema

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.recipe.card import write_served
from examples.recipe.tasks import Tasks

VALID, VALUES = "JSON that is valid by a schema without bounds", "JSON with all values right"
CALLED, DEMANDED = "right function and arguments (auto)", "right function and arguments (required)"
PLAIN = "no call where no function fits"


class Outcome(NamedTuple):
    """Whether one thing was right in an answer, and what was said."""

    kind: str
    is_right: bool
    said: str


class Service:
    """A service with the demo model, and what it is asked."""

    def __init__(self, url: str, model: str) -> None:
        self._http = httpx2.Client(base_url=url, timeout=120)
        self._model = model

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """The message of the first choice, with what was refused as its content."""
        asked = {"model": self._model, "temperature": 0, "max_tokens": 200, **body}
        response = self._http.post("/v1/chat/completions", json=asked)
        if response.status_code != 200:
            return {"content": response.text}
        message: dict[str, Any] = response.json()["choices"][0]["message"]
        return message

    def outcomes(self, draw: Tasks) -> Iterator[Outcome]:
        """One case of each kind."""
        yield from self._record(draw)
        for kind, fits, choice in (
            (CALLED, 1.0, "auto"),
            (DEMANDED, 1.0, "required"),
            (PLAIN, 0.0, "auto"),
        ):
            sample = draw.called(1, fits, offered=(2,), ends_with_call=True)
            body = {"messages": sample.messages[:-1], "tools": sample.tools, "tool_choice": choice}
            calls = self.answer(body).get("tool_calls") or []
            made = [
                (call["function"]["name"], _json(call["function"]["arguments"])) for call in calls
            ]
            wanted = [
                (call["function"]["name"], call["function"]["arguments"])
                for call in sample.messages[-1].get("tool_calls", ())
            ]
            yield Outcome(kind, made == wanted, f"{sample.messages[-2]['content']} -> {made}")

    def _record(self, draw: Tasks) -> Iterator[Outcome]:
        asked = draw.records.record()
        form = {"type": "json_schema", "json_schema": {"name": "it", "schema": asked.schema}}
        messages = [{"role": "user", "content": asked.question}]
        said = self.answer({"messages": messages, "response_format": form})["content"]
        value = _json(said)
        is_valid = jsonschema.Draft202012Validator(asked.schema).is_valid(value)
        yield Outcome(VALID, is_valid, f"{asked.question!r} -> {said!r}")
        yield Outcome(VALUES, value == json.loads(asked.answer), f"{asked.question!r} -> {said!r}")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def main() -> None:
    """Ask, count and write it down."""
    parser = argparse.ArgumentParser(description="Measure the demo model through a service.")
    parser.add_argument("url")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--cases", type=int, default=100)
    folder = Path(__file__).resolve().parents[1] / "demo_model"
    parser.add_argument("--out", type=Path, default=folder)
    parser.add_argument("--show", action="store_true", help="show what was wrong")
    options = parser.parse_args()
    service, draw = Service(options.url, options.model), Tasks("served", held_out=True)
    right: Counter[str] = Counter()
    for _ in range(options.cases):
        for outcome in service.outcomes(draw):
            right[outcome.kind] += outcome.is_right
            if options.show and not outcome.is_right:
                sys.stdout.write(f"{outcome.kind}: {outcome.said}\n")
    kinds = (VALID, VALUES, CALLED, DEMANDED, PLAIN)
    scores = {kind: round(100 * right[kind] / options.cases, 1) for kind in kinds}
    sys.stdout.write(json.dumps(scores, indent=2) + "\n")
    write_served(options.out, options.cases, scores)


if __name__ == "__main__":
    main()
