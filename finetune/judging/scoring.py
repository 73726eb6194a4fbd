"""Scores answers; by a regular expression in a process of its own, within a bound of time: some never end."""

import json
import sys
from collections.abc import Sequence

from finetune.job.child_process import environment, run
from finetune.judging.metrics import NotAPattern, Scoring

PATTERN_SECONDS = 20


def scores(scoring: Scoring, answers: Sequence[tuple[str, str]]) -> list[float]:
    """How good each answer is beside the right one. Raises `NotAPattern` for a pattern that does not come to an end."""
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
        raise NotAPattern(
            f"metric_pattern did not come to an end within {PATTERN_SECONDS} s over these answers. "
            "Write it without repetitions inside repetitions."
        ) from error
    if done.returncode:
        raise NotAPattern("metric_pattern cannot be used over these answers.")
    return [float(line) for line in done.stdout.split()]
