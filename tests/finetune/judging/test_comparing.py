"""From two sides to words: what decides, what is said beside it, and what cannot be told."""

import pytest

from finetune.data.rows import Chat
from finetune.judging.canary import ITEMS
from finetune.judging.comparing import compared
from finetune.judging.metrics import Metric, NotAPattern
from finetune.judging.sides import Asked, Side, asked_of

ROWS = 12
TOOL = {"role": "assistant", "content": "", "tool_calls": [{"id": "a"}]}


def asked() -> list[Asked]:
    turns = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Ho 7"}]
    return [asked_of(Chat(number, turns)) for number in range(ROWS)]


def side(answer: str | None, loss: float, known: int = len(ITEMS)) -> Side:
    canary = [float(place < known) for place in range(len(ITEMS))]
    losses = [loss + place / 1000 for place in range(ROWS)]
    return Side([answer] * ROWS, list(losses), canary, 0)


@pytest.mark.parametrize(
    ("metric", "verdict"), [(None, "better"), ("exact", "worse"), ("f1", "worse")]
)
def test_the_metric_decides_where_one_was_asked_for_else_the_loss(
    metric: Metric | None, verdict: str
) -> None:
    found = compared(asked(), side("Ho 7", 2.0), side("Hm", 1.0), metric, None)
    assert found["verdict"] == verdict
    assert ("By exact it is worse" in found["says"]) is (metric is None)
    assert ("By loss an answer token it is better" in found["says"]) is (metric is not None)


def test_what_was_forgotten_is_said() -> None:
    found = compared(asked(), side("", 2.0), side("", 1.0, known=10), None, None)
    assert found["verdict"] == "better"
    assert "It has forgotten general skills: 1.000 before, 0.278 after" in found["says"]
    assert found["skills"]["tuned"]["reading"] == 8
    assert "obeying" in found["skills"]["base"]


def test_without_answers_the_metric_cannot_tell_and_the_loss_can() -> None:
    found = compared(asked(), side(None, 2.0), side(None, 1.0), None, None)
    loss, metric, _ = found["comparisons"]
    assert (loss["verdict"], metric["verdict"], metric["base"]) == ("better", "cannot tell", None)
    assert found["answers"] == []
    assert asked_of(Chat(1, [{"role": "user", "content": "Hi?"}, TOOL])).right is None


def test_a_pattern_without_an_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    both = side("a" * 40, 1.0), side("a" * 40, 1.0)
    with monkeypatch.context() as patch:
        patch.setattr("finetune.judging.scoring.PATTERN_SECONDS", 0.5)
        with pytest.raises(NotAPattern, match="did not come to an end"):
            compared(asked(), *both, "regex", "(a+)+$x")
    found = compared(asked(), side("7", 1.0), side("Ho 8", 1.0), "regex", "[0-9]")
    assert (found["verdict"], found["decided_by"]) == ("worse", "regex")
