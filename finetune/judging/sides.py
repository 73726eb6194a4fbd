"""One side of a comparison, base or tuned: what its GGUF answers, and how likely it finds the right answers."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from finetune import gguf_file
from finetune.checks.engine import Engine
from finetune.checks.passages import Passage, passages_of
from finetune.checks.scoring import Scorer
from finetune.data.rows import Chat, Conversation, Preference, Row
from finetune.judging import canary
from finetune.tokenizer import ids, prompt_ids, prompt_of
from finetune.training.supervision import Supervision

LEAST_TOKENS = 32
"""An answer may be twice as long as the right one, and so much longer."""

Step = Callable[[], None]
"""Called after each thing that was asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A held-out row: the question with the turns before it, and the right answer; None in a plain text."""

    row: Row
    prompt: Conversation | None
    right: str | None


@dataclass(frozen=True, slots=True)
class Side:
    """What one model did: its answers (None where nothing is asked), its losses, and what it got right of the canary.

    `tokens` counts those that were written.
    """

    answers: list[str | None]
    losses: list[float | None]
    canary: list[float]
    tokens: int


def asked_of(row: Row) -> Asked:
    """What a held-out row asks: for its last answer, of a preference for the one that is wanted."""
    if isinstance(row, Chat):
        prompt = prompt_of(row.messages)
        answer = row.messages[len(prompt)].get("content")
    elif isinstance(row, Preference):
        prompt, answer = row.prompt, row.chosen[-1].get("content")
    else:
        return Asked(row, None, None)
    if not isinstance(answer, str) or not answer.strip():  # a call of a tool
        return Asked(row, None, None)
    return Asked(row, prompt, answer)


def judge_side(
    path: Path,
    tokenizer: PreTrainedTokenizerBase,
    asked: Sequence[Asked],
    most_tokens: int,
    step: Step,
) -> Side:
    """Ask one GGUF everything; it is loaded twice, one after the other: to write, and to be asked for likelihoods."""
    answers, tokens = _answers(path, tokenizer, asked, most_tokens, step)
    losses, known = _likelihoods(path, tokenizer, asked, step)
    return Side(answers, losses, known, tokens)


def _answers(
    path: Path,
    tokenizer: PreTrainedTokenizerBase,
    asked: Sequence[Asked],
    most_tokens: int,
    step: Step,
) -> tuple[list[str | None], int]:
    prompts = [prompt_ids(tokenizer, one.prompt) if one.prompt else [] for one in asked]
    lengths = [
        min(most_tokens, LEAST_TOKENS + 2 * len(ids(tokenizer, one.right or ""))) for one in asked
    ]
    limit = gguf_file.read(path).context_length
    needed = [len(p) + n for p, n in zip(prompts, lengths, strict=True) if p]
    if not needed:
        return [None] * len(asked), 0
    engine = Engine(path, min(limit, max(needed) + 8))
    answers: list[str | None] = []
    written = 0
    for prompt, length in zip(prompts, lengths, strict=True):
        room = min(length, limit - len(prompt) - 8)
        if not prompt or room < 1:
            answers.append(None)
            continue
        said = engine.write(prompt, room)
        written += said.tokens
        answers.append(said.text)
        step()
    del engine
    gc.collect()
    return answers, written


def _likelihoods(
    path: Path, tokenizer: PreTrainedTokenizerBase, asked: Sequence[Asked], step: Step
) -> tuple[list[float | None], list[float]]:
    supervision = Supervision(tokenizer)
    passages = [passages_of(supervision, one.row) for one in asked]
    questions = {
        (item.question, answer): _said(tokenizer, item.question, answer)
        for item in canary.ITEMS
        for answer in (item.right, *item.wrong)
    }
    every = [*(one for one in passages if one), *questions.values()]
    with Scorer(path, max(len(one.tokens) for one in every) + 1) as scorer:
        losses: list[float | None] = []
        for passage in passages:
            losses.append(None if passage is None else -likelihood(scorer, passage))
            step()
        known = canary.judged(
            lambda question, answer: likelihood(scorer, questions[question, answer])
        )
    return losses, known


def likelihood(scorer: Scorer, passage: Passage) -> float:
    """The mean log-probability of the tokens that are asked about."""
    found = scorer.log_probabilities(passage.tokens, passage.places)
    return float(sum(row[token] for row, token in zip(found, passage.asked, strict=True))) / len(
        passage.places
    )


def _said(tokenizer: PreTrainedTokenizerBase, question: str, answer: str) -> Passage:
    prompt = prompt_ids(tokenizer, [{"role": "user", "content": question}])
    reply = ids(tokenizer, answer)
    tokens = [*prompt, *reply]
    return Passage(tokens, list(range(len(prompt), len(tokens))), question)
