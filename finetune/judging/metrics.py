"""How an answer is scored against the right one, between 0 and 1. Standard library alone; the api imports it.

Run by path or as a module it scores what is piped in, one JSON object a line, within a bound of time: a regular
expression that somebody wrote may never come to an end.
"""

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Metric = Literal["exact", "contains", "f1", "json", "regex"]

_WORD = re.compile(r"\w+")
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
_FENCE = re.compile(r"```[\w-]*\n(.*?)\n?```", re.DOTALL)


class NotAPattern(ValueError):
    """A regular expression that cannot be read, or one that is missing."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """A metric, and what it looks for where it is `regex`."""

    metric: Metric = "exact"
    pattern: str | None = None

    def score(self, answer: str, right: str) -> float:
        """1 for as good as the right answer, 0 for not at all. What a model thinks before it answers does not count."""
        answer, right = _THOUGHT.sub("", answer), _THOUGHT.sub("", right)
        if self.metric == "regex":
            return float(
                found_by(self.pattern or "", answer) == found_by(self.pattern or "", right)
            )
        return _SCORES[self.metric](answer, right)


def require_pattern(metric: Metric | None, pattern: str | None) -> None:
    """Raises `NotAPattern` unless there is one exactly where `regex` needs it, and it can be read."""
    if metric == "regex" and not pattern:
        raise NotAPattern(
            "metric=regex needs a metric_pattern: the regular expression to look for."
        )
    if pattern is None:
        return
    if metric != "regex":
        raise NotAPattern("metric_pattern is for metric=regex alone.")
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise NotAPattern(f"metric_pattern is no regular expression: {error}.") from error


def found_by(pattern: str, text: str) -> str | None:
    """What a pattern finds first in a text: its first group where it has one, else all of it."""
    found = re.search(pattern, text)
    if found is None:
        return None
    return found[1] if found.re.groups else found[0]


def exact(answer: str, right: str) -> float:
    """The same text; how it is spaced does not matter."""
    return float(answer.split() == right.split())


def contains(answer: str, right: str) -> float:
    """The right answer stands somewhere in it; capitals and spaces do not matter."""
    return float(" ".join(right.casefold().split()) in " ".join(answer.casefold().split()))


def f1(answer: str, right: str) -> float:
    """How many words they share: the harmonic mean of precision and recall, without regard to order."""
    ours, theirs = (Counter(_WORD.findall(text.casefold())) for text in (answer, right))
    if not ours or not theirs:
        return float(ours == theirs)
    shared = (ours & theirs).total()
    return 2 * shared / (ours.total() + theirs.total())


def json_equal(answer: str, right: str) -> float:
    """The same JSON value, whatever the order of members and the spaces; it may stand in a fenced block."""
    try:
        return float(_same(_json(answer), _json(right)))
    except ValueError:
        return 0.0


def _json(text: str) -> Any:
    fenced = _FENCE.search(text)
    try:
        return json.loads(fenced[1] if fenced else text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: Python takes True for 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other)


_SCORES: dict[str, Callable[[str, str], float]] = {
    "exact": exact,
    "contains": contains,
    "f1": f1,
    "json": json_equal,
}


def main() -> None:
    """`{"metric", "pattern", "answer", "right"}` a line on stdin, its score a line on stdout."""
    for line in sys.stdin:
        given = json.loads(line)
        scoring = Scoring(given["metric"], given["pattern"])
        sys.stdout.write(f"{scoring.score(given['answer'], given['right'])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
