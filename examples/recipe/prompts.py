"""The served prompt forms, copied so that the demo model is trained on exactly what it is later asked.

`finetune` never imports `api`; a test compares the two.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_MARKER = re.compile(r"\[(\s*\d+(?:\s*[,;]\s*\d+)*\s*)\]")
_BLANK_LINES = re.compile(r"\n\s*\n")
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")

REFUSAL = "The passages do not contain the answer."


def quoted(text: str) -> str:
    """One block without blank lines, whose own marks like [3] read (3), without characters that nobody sees."""
    text = _INVISIBLE.sub("", text.strip())
    text = _MARKER.sub(lambda marker: f"({marker[1].strip()})", text)
    return _BLANK_LINES.sub("\n", text)


def passage_block(number: int, text: str, document: str, page: int) -> str:
    """`[n] text (document, page p)`, the document without its `.pdf`."""
    return f"[{number}] {quoted(text)} ({document.removesuffix('.pdf')}, page {page})"


def answer_prompt(question: str, blocks: Sequence[str]) -> str:
    """The user message that asks for an answer from numbered passages."""
    return (
        "Answer the question from the passages below and from nothing else. "
        "After each statement name the passage it comes from, like [1]. "
        f"If they do not hold the answer, say only: {REFUSAL}\n\n"
        + "\n\n".join(blocks)
        + f"\n\nQuestion: {question.strip()}"
    )


def expand_prompt(question: str, count: int, turns: str = "") -> str:
    """The user message that asks for `count` rephrasings, stand-alone when `turns` of a conversation are given."""
    if turns:
        return (
            f"A conversation so far:\n\n{turns}\n\n"
            f"Write {count} ways to ask the last question below, one a line and nothing else. "
            f"Each must be understood without the conversation.\n\nQuestion: {question.strip()}"
        )
    return (
        f"Write {count} other ways to ask the question below, one a line and nothing else.\n\n"
        f"Question: {question.strip()}"
    )


def forced_prompt(system: Sequence[str], functions: Sequence[Mapping[str, Any]]) -> str:
    """The system message of a call that must be made."""
    told = [json.dumps(function, ensure_ascii=False) for function in functions]
    task = (
        "Answer with the call of a function, as JSON: its name and its arguments. "
        "These functions can be called:\n"
    )
    return "\n\n".join([*system, task + "\n".join(told)])
