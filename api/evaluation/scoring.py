"""Scores answers; by a regular expression in a process of its own, within a bound of time: some never end."""

import json
import sys
from collections.abc import Sequence

from api.child_process import environment, run
from api.errors import InvalidOption
from finetune.judging.metrics import Scoring

PATTERN_SECONDS = 20


def scores(scoring: Scoring, answers: Sequence[tuple[str, str]]) -> list[float]:
    """How good each answer is beside the right one. Blocking; `errors.InvalidOption` for a pattern without an end."""
    if scoring.metric != "regex":
        return [scoring.score(answer, right) for answer, right in answers]
    lines = [
        json.dumps(
            {"metric": "regex", "pattern": scoring.pattern, "answer": answer, "right": right}
        )
        for answer, right in answers
    ]
    command = [sys.executable, "-m", "finetune.judging.metrics"]
    try:
        done = run(
            command, env=environment(), input="\n".join(lines).encode(), seconds=PATTERN_SECONDS
        )
    except TimeoutError as error:
        raise InvalidOption(
            f"metric_pattern did not come to an end within {PATTERN_SECONDS} s over these answers. "
            "Write it without repetitions inside repetitions.",
            where="metric_pattern",
        ) from error
    if done.returncode:
        raise InvalidOption(
            "metric_pattern cannot be used over these answers.", where="metric_pattern"
        )
    return [float(line) for line in done.stdout.split()]
