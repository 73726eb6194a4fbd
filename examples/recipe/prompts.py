"""The served prompt forms, copied so that the demo model is trained on exactly what it is later asked.

`finetune` never imports `api`; a test compares the two.
"""

from collections.abc import Sequence

REFUSAL = "The passages do not contain the answer."


def passage_block(number: int, text: str, document: str, page: int) -> str:
    """`[n] text (document, page p)`, the document without its `.pdf`."""
    return f"[{number}] {text.strip()} ({document.removesuffix('.pdf')}, page {page})"


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
