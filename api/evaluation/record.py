"""An evaluation's directory: its card, its questions, the answers as they came, and its result, written last.

evaluation.json  questions.jsonl  answers.jsonl  result.json
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from api.evaluation.values import Evaluation, Given, Pair, Progress
from finetune.job.files import read_json, write_atomically


class Record:
    """Reads and writes one such directory. Blocking; call it in a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._answers_path = path / "answers.jsonl"

    def write_questions(self, pairs: Iterable[Pair]) -> None:
        """Keep what is asked."""
        with (self._path / "questions.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(pair), ensure_ascii=False) + "\n" for pair in pairs)

    def questions(self) -> list[Pair]:
        """What is asked, in its order."""
        text = (self._path / "questions.jsonl").read_text(encoding="utf-8")
        return [Pair(**json.loads(line)) for line in text.split("\n") if line]

    def append(self, given: Given) -> None:
        """Keep one answer."""
        with self._answers_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(given), ensure_ascii=False) + "\n")

    def answers(self) -> list[Given]:
        """The answers so far; of a line that is not whole nothing is known."""
        return [Given(**json.loads(line)) for line in self._whole().split("\n") if line]

    def mend(self) -> None:
        """Cut off the line at which a process died, so that the next one stands by itself."""
        if self._answers_path.exists():
            write_atomically(self._answers_path, self._whole())

    def _whole(self) -> str:
        try:
            content = self._answers_path.read_bytes()
        except FileNotFoundError:
            return ""
        return content[: content.rfind(b"\n") + 1].decode()

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Keep what was found."""
        write_atomically(
            self._path / "result.json", json.dumps(result, ensure_ascii=False, indent=1)
        )

    def result(self) -> dict[str, Any] | None:
        """What was found, once all is asked."""
        result = read_json(self._path / "result.json")
        return result if isinstance(result, dict) else None


def progress(evaluation: Evaluation, answers: Sequence[Given]) -> Progress:
    """How far it is; the time left is told by what answers of the same arm took, else by all."""
    total = evaluation.questions * len(evaluation.arms)
    if not answers:
        return Progress(0, total, 0.0 if not evaluation.is_on_its_way else None)
    usual = sum(one.seconds for one in answers) / len(answers)
    left = 0.0
    for arm in evaluation.arms:
        taken = [one.seconds for one in answers if one.arm == arm]
        each = sum(taken) / len(taken) if taken else usual
        left += (evaluation.questions - len(taken)) * each
    return Progress(len(answers), total, round(left, 1) if evaluation.is_on_its_way else None)
