"""Make the demo model of `examples/demo_model` from nothing: tokenizer, weights, abilities, card, fixed cases.

    python examples/recipe/make.py
    python examples/recipe/make.py --tasks --tokens 4
    python examples/recipe/make.py --measure-only

Training takes about two hours of one core of a recent CPU. No data and no weights are read; the same seed gives the
same text. With `--tasks` the model that is there goes on, and learns JSON and calls of functions too.
"""

import argparse
import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.recipe.card import (
    read_abilities,
    read_cases,
    write_abilities,
    write_card,
    write_cases,
)
from examples.recipe.export import export_model
from examples.recipe.measure import cases, measure, task_cases
from examples.recipe.model import CHAT_TEMPLATE, make_tokenizer
from examples.recipe.training import Plan, train

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "data" / "demo_cases.jsonl"
MEASURE_SEED, CASES_SEED, CASES_EACH = 1, 2, 5


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make the demo model.")
    parser.add_argument("--out", type=Path, default=ROOT / "examples" / "demo_model")
    parser.add_argument("--tokens", type=float, default=44.0, help="million tokens to train on")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end the schedule early")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--export-minutes", type=float, default=10.0, help="between provisional exports"
    )
    parser.add_argument("--no-compile", action="store_true", help="slower, without a C++ compiler")
    parser.add_argument("--cases", type=int, default=200, help="cases of each kind to measure")
    parser.add_argument(
        "--tasks",
        action="store_true",
        help="the second stage, from the model in --out: JSON and calls too, at 0.4 of the rate",
    )
    parser.add_argument(
        "--measure-only", action="store_true", help="measure the model that is there"
    )
    return parser.parse_args()


def log(line: str) -> None:
    """A line with the time."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


def make(options: argparse.Namespace) -> dict[str, Any]:
    """Train and export; what it took."""
    # A model that is made again keeps its tokenizer, so that files made with the old one stay valid.
    known = (options.out / "tokenizer.json").exists()
    tokenizer = (
        PreTrainedTokenizerFast.from_pretrained(options.out)
        if known
        else make_tokenizer(options.seed)
    )
    plan = Plan(int(options.tokens * 1e6), options.seed, options.minutes * 60)
    weights = None
    if options.tasks:
        tokenizer.chat_template = CHAT_TEMPLATE
        weights = {
            name: w.float() for name, w in load_file(options.out / "model.safetensors").items()
        }
        plan = replace(plan, text="tasks", matrix_rate=0.0024, vector_rate=2.4e-4, decay_from=0.0)
    done = train(
        plan,
        tokenizer,
        lambda weights: export_model(options.out, tokenizer, weights),
        options.export_minutes * 60,
        log,
        is_compiled=not options.no_compile,
        weights=weights,
    )
    took = {**done._asdict(), "seed": options.seed, "threads": options.threads}
    return {**read_abilities(options.out)["training"], "tasks": took} if options.tasks else took


def judge(options: argparse.Namespace, training: dict[str, Any]) -> None:
    """Measure what was exported and write it down."""
    folder = options.out
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if not CASES.exists():
        write_cases(CASES, cases(CASES_EACH, CASES_SEED))
    fixed = read_cases(CASES)
    _, said = measure(model, tokenizer, fixed)
    right = sum(reply == case.expected for reply, case in zip(said, fixed, strict=True))
    todo = cases(options.cases, MEASURE_SEED)
    if "tasks" in training:
        todo += task_cases(options.cases, MEASURE_SEED)
    scores, _ = measure(model, tokenizer, todo)
    for kind, score in scores.items():
        log(f"{score:5} % {kind}")
    write_abilities(folder, scores, options.cases, (right, len(fixed)), training)
    write_card(folder, model.num_parameters())


def main() -> None:
    """Train, or take what is there, and measure it."""
    options = arguments()
    torch.set_num_threads(options.threads)
    is_made = options.measure_only
    training = read_abilities(options.out)["training"] if is_made else make(options)
    judge(options, training)


if __name__ == "__main__":
    main()
