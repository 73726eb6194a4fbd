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
    both = [way + stranger for way, stranger in zip(ways, strangers, strict=True)]
    return {
        "+ paraphrases": _searched(questions, ways),
        "+ and a drifting one": _searched(questions, both),
        "+ and it kept": _searched(questions, both, drops=False),
        "+ a drifting one alone": _searched(questions, strangers),
        "+ it alone, kept": _searched(questions, strangers, drops=False),
    }


def _of_another(ways: Sequence[list[str]]) -> list[list[str]]:
    half = len(ways) // 2
    return [*ways[half:], *ways[:half]]


def _searched(
    questions: Sequence[str], ways: Sequence[Sequence[str]], *, drops: bool = True
) -> list[list[str]]:
    return [
        [question, *(way for way in some if not (drops and drifted(question, [way])[way]))]
        for question, some in zip(questions, ways, strict=True)
    ]
