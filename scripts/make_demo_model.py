"""Make the demo model of `examples/demo_model` from nothing: tokenizer, weights, training, measurement, model card.

    python scripts/make_demo_model.py --out examples/demo_model

Takes more than an hour of two recent CPU cores. No data and no weights are read; the same seed gives the same text.
"""

import argparse
import math
import sys
import time
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from finetune.demo.model import make_tokenizer
from finetune.demo.training import Plan, export_model, train


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, default=Path("examples/demo_model"))
    parser.add_argument(
        "--tokens", type=float, default=60.0, help="how many million tokens to train on"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=math.inf,
        help="end the schedule early after so many minutes",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--export-minutes",
        type=float,
        default=10.0,
        help="a provisional model every so many minutes",
    )
    parser.add_argument(
        "--no-compile", action="store_true", help="train without a C++ compiler, more slowly"
    )
    return parser.parse_args()


def main() -> None:
    """Train and export."""
    options = arguments()
    torch.set_num_threads(options.threads)
    # A model that is made again keeps its tokenizer, so that files made with the old one stay valid.
    known = (options.out / "tokenizer.json").exists()
    tokenizer = (
        PreTrainedTokenizerFast.from_pretrained(options.out)
        if known
        else make_tokenizer(options.seed)
    )
    plan = Plan(int(options.tokens * 1e6), options.seed, options.minutes * 60)

    def log(line: str) -> None:
        sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
        sys.stdout.flush()

    train(
        plan,
        tokenizer,
        lambda weights: export_model(options.out, tokenizer, weights),
        options.export_minutes * 60,
        log,
        compiled=not options.no_compile,
    )


if __name__ == "__main__":
    main()
