"""What goes beside the demo model's weights: its measured abilities, its card, and the fixed test cases."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from examples.recipe.measure import Case
from examples.recipe.model import CONTEXT, FEED_FORWARD, HEAD, HEADS, HIDDEN, LAYERS, VOCABULARY

CARD = """\
---
license: mit
language: en
---
# The demo model

A very small language model that answers questions from numbered passages, refuses when they do not hold the
answer, rephrases questions and speaks as the persona it is given. **For trying and testing only**: it lets every
part of LLM-FastAPI run for real on any machine, and knows nothing about the world.

It was trained from random weights by `examples/recipe/make.py`, on text that the script itself makes
(`examples/recipe/`); no data and no other model went into it. Licence: MIT, as the rest of the project.

## Abilities

Whole answers that are exactly right, with passage number and end, written greedily, on names and values that the
training text never holds ({count} cases each):

| task | exact |
|---|---|
{abilities}

{served}Of {fixed_cases} fixed cases (`tests/data/demo_cases.jsonl`) it gets {fixed_right} right.

It reads the sentence forms of `examples/recipe/forms.toml` and what is close to them. Sentences of other kinds,
passages above about 60 words and more than six passages are often misread, and an answer is always short:
"The price of the parking pass is 40 euros [2]." Do not use it for anything that matters.

## Recipe

| | |
|---|---|
| shape | Llama: {layers} layers, hidden {hidden}, {heads} heads of {head}, feed-forward {feed_forward} |
| size | {parameters:.1f} M parameters, bfloat16 |
| tokens | byte-level BPE with single digits, {vocabulary} entries, ChatML marks, context {context} |
| initial weights | induction heads built in, so that copying need not be discovered |
| text | fresh conversations, seed {seed}; several questions on one context; the served prompt forms |
| training | {million_tokens:.1f} M tokens in {steps} steps; Muon 0.006, AdamW 0.0006, linear decay |
| time | {minutes:.0f} minutes, {threads} thread, on a CPU with bfloat16 matrix units |

One run on one learning-rate schedule made it: `--tokens 46 --minutes 108`, ended by the clock. The defaults of
`examples/recipe/make.py` are that run by tokens alone; on one machine they give the same bytes each time. Loss was
flat in the end. What is still wrong is nearly always the choice between two near-equal sentences: a larger model or
longer training, not more of the decay, would be the next thing to try.
{tasks}"""
SERVED = """\
Through `/v1/chat/completions` of a service with llama.cpp (`examples/recipe/served.py`), greedily, with functions,
schemas, names and values that the training text never holds ({count} cases each):

| task | right |
|---|---|
{rows}

"""
TASKS = """
Then it learned JSON and calls of functions: `--tasks`, {million_tokens:.1f} M tokens in {steps} steps and {minutes:.0f}
minutes, seed {seed}, {threads} thread, at 0.4 of the rate, which falls from the start.
"""


def write_abilities(
    folder: Path,
    scores: Mapping[str, float],
    count: int,
    fixed: tuple[int, int],
    training: Mapping[str, Any],
) -> None:
    """`abilities.json`; a test holds the model to the floor of the fixed cases."""
    right, total = fixed
    known = read_abilities(folder) if (folder / "abilities.json").exists() else {}
    found = {
        "exact_match_percent": dict(scores),
        "cases_each": count,
        "fixed_cases": total,
        "fixed_cases_right": right,
        "fixed_cases_floor": max(0, right - 2),
        "training": dict(training),
    }
    if "tasks" in training and "served" in known:
        found["served"] = known["served"]
    _write(folder, found)


def write_served(folder: Path, count: int, scores: Mapping[str, float]) -> None:
    """What was measured through a service, beside what `abilities.json` says already."""
    served = {"cases_each": count, "percent": dict(scores)}
    _write(folder, {**read_abilities(folder), "served": served})


def read_abilities(folder: Path) -> dict[str, Any]:
    """`abilities.json`."""
    found: dict[str, Any] = json.loads((folder / "abilities.json").read_text())
    return found


def _write(folder: Path, abilities: Mapping[str, Any]) -> None:
    (folder / "abilities.json").write_text(json.dumps(abilities, indent=2) + "\n")


def write_card(folder: Path, parameters: int) -> None:
    """`README.md`, from `abilities.json`."""
    found = read_abilities(folder)
    training = found["training"]
    text = CARD.format(
        abilities="\n".join(
            f"| {kind} | {score} % |" for kind, score in found["exact_match_percent"].items()
        ),
        count=found["cases_each"],
        fixed_cases=found["fixed_cases"],
        fixed_right=found["fixed_cases_right"],
        parameters=parameters / 1e6,
        layers=LAYERS,
        hidden=HIDDEN,
        heads=HEADS,
        head=HEAD,
        feed_forward=FEED_FORWARD,
        vocabulary=VOCABULARY,
        context=CONTEXT,
        seed=training["seed"],
        million_tokens=training["tokens"] / 1e6,
        steps=training["steps"],
        minutes=training["seconds"] / 60,
        threads=training["threads"],
        served=_served(found["served"]) if "served" in found else "",
        tasks=_tasks(training["tasks"]) if "tasks" in training else "",
    )
    (folder / "README.md").write_text(text)


def _served(served: Mapping[str, Any]) -> str:
    rows = "\n".join(f"| {kind} | {score} % |" for kind, score in served["percent"].items())
    return SERVED.format(count=served["cases_each"], rows=rows)


def _tasks(tasks: Mapping[str, Any]) -> str:
    took = {"million_tokens": tasks["tokens"] / 1e6, "minutes": tasks["seconds"] / 60}
    return TASKS.format(**{**tasks, **took})


def write_cases(path: Path, cases: Sequence[Case]) -> None:
    """The fixed cases, one object a line."""
    lines = (
        json.dumps({"id": f"{number:02}", **case._asdict()}) for number, case in enumerate(cases, 1)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def read_cases(path: Path) -> list[Case]:
    """The fixed cases."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [Case(row["kind"], row["messages"], row["expected"]) for row in rows]
