"""How answers are scored against the right ones."""

import json
import subprocess
import sys

import pytest

from finetune.job.spec import TrainingParameters
from finetune.judging.metrics import Metric, NotAPattern, Scoring, require_pattern


@pytest.mark.parametrize(
    ("metric", "answer", "right", "score"),
    [
        ("exact", " Aurora.\n", "Aurora.", 1),
        ("exact", "aurora.", "Aurora.", 0),
        ("exact", "<think>\nIs it Nova? No.\n</think>\n\nAurora.", "Aurora.", 1),
        ("exact", "<think>\nIs it Aurora", "Aurora", 0),
        ("contains", "It is called  AURORA today.", "aurora", 1),
        ("contains", "It is called Nova.", "aurora", 0),
        ("f1", "the red car", "the blue car", 2 / 3),
        ("f1", "", "", 1),
        ("f1", "", "a word", 0),
        ("json", '{"b": [1, 2.0], "a": true}', '{"a": true, "b": [1, 2]}', 1),
        ("json", 'Here:\n```json\n{"a": 1}\n```', '{"a": 1}', 1),
        ("json", '{"a": true}', '{"a": 1}', 0),
        ("json", '{"a": 1', '{"a": 1}', 0),
        ("json", "[" * 100_000, "[]", 0),
        ("json", "null", "null", 1),
    ],
)
def test_an_answer_is_scored(metric: Metric, answer: str, right: str, score: float) -> None:
    assert Scoring(metric).score(answer, right) == pytest.approx(score)


def test_what_a_pattern_finds_must_be_what_it_finds_in_the_right_answer() -> None:
    total = Scoring("regex", r"total[^0-9]*([0-9]+)")
    assert total.score("The total: 42 euros", "total is 42") == 1
    assert total.score("The total: 43 euros", "total is 42") == 0
    assert total.score("42 euros", "total is 42") == 0


@pytest.mark.parametrize(
    ("metric", "pattern", "said"),
    [
        ("regex", None, "needs"),
        ("regex", "(", "no regular"),
        ("exact", "a", "alone"),
        (None, "a", "alone"),
    ],
)
def test_a_pattern_stands_where_it_is_needed_and_can_be_read(
    metric: Metric | None, pattern: str | None, said: str
) -> None:
    with pytest.raises(NotAPattern, match=said):
        require_pattern(metric, pattern)
    with pytest.raises(ValueError, match=said):
        TrainingParameters(metric=metric, metric_pattern=pattern)


def test_a_process_scores_line_by_line() -> None:
    lines = [
        {"metric": "regex", "pattern": "[0-9]+", "answer": "about 7", "right": "7"},
        {"metric": "exact", "pattern": None, "answer": "a", "right": "b"},
    ]
    done = subprocess.run(
        [sys.executable, "-m", "finetune.judging.metrics"],
        input="".join(json.dumps(line) + "\n" for line in lines),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1.0", "0.0"]
