"""Questions asked in other words as well, and what the service makes of words that lead elsewhere."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from api.rag.drift import drifted

Paraphrases = Mapping[str, Sequence[str]]
"""By question."""


def paraphrases(path: Path) -> Paraphrases:
    """Of a file with a line of `{"question": ..., "paraphrases": [...]}` a question."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {row["question"]: row["paraphrases"] for row in rows}


def asked_so(questions: Sequence[str], known: Paraphrases) -> dict[str, list[list[str]]]:
    """What is searched for each question, by the way it is asked; a question without paraphrases is asked alone."""
    ways = [list(known.get(question, ())) for question in questions]
    strangers = [other[:1] for other in _of_another(ways)]
    return {
        "+ paraphrases": _kept(questions, ways),
        "+ a drifting one": _kept(questions, strangers),
        "+ a drifting one, kept": [
            [q, *some] for q, some in zip(questions, strangers, strict=True)
        ],
    }


def _of_another(ways: Sequence[list[str]]) -> list[list[str]]:
    half = len(ways) // 2
    return [*ways[half:], *ways[:half]]


def _kept(questions: Sequence[str], ways: Sequence[Sequence[str]]) -> list[list[str]]:
    return [
        [question, *(way for way in some if not drifted(question, way))]
        for question, some in zip(questions, ways, strict=True)
    ]
