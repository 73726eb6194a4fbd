"""A base's GGUF file against the base itself: it reads, ends and speaks alike, by the checks of a fine-tune's file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from finetune.checks.comparing import Figures, figures, seen
from finetune.checks.engine import Engine
from finetune.checks.passages import Passage, answer
from finetune.checks.reading import check_prompts, check_texts
from finetune.checks.reference import Reference
from finetune.checks.samples import CONVERSATIONS, TEXTS, renderable
from finetune.checks.scoring import Scorer
from finetune.checks.speaking import judge, judge_exact
from finetune.checks.vocabulary import check_marks, check_template, check_vocabulary
from finetune.gguf_file import Contents
from finetune.job.parameters.checking import Bounds
from finetune.job.parameters.exporting import Quantization
from finetune.job.stage import StageFailed
from finetune.tokenizer import end_marks, ids, marks_of, prompt_ids

CONTEXT = 1024
MOST_TOKENS = 160
ANSWER_TOKENS = 24
LONGEST_PROMPT = 512


def read_alike(tokenizer: PreTrainedTokenizerBase, folder: Path, gguf: Path) -> list[Passage]:
    """The file reads texts and conversations as the same tokens, and ends where it is to; what it answers to them.

    Raises `StageFailed`.
    """
    contents = Contents(gguf)
    check_template(tokenizer, contents)
    check_vocabulary(tokenizer, contents)
    check_marks(tokenizer, marks_of(tokenizer, folder), contents)
    engine = Engine(gguf, CONTEXT)
    check_texts(tokenizer, engine, TEXTS)
    check_prompts(tokenizer, engine, renderable(tokenizer))
    prompts = [
        prompt_ids(tokenizer, messages) for messages in CONVERSATIONS[:1] + CONVERSATIONS[2:]
    ]
    said = [(p, engine.go_on(p, ANSWER_TOKENS)) for p in prompts if len(p) <= LONGEST_PROMPT]
    del engine
    with Scorer(gguf, 64) as scorer:
        lost = [number for number in end_marks(tokenizer, folder) if not scorer.ends(number)]
    if lost:
        names = ", ".join(map(str, tokenizer.convert_ids_to_tokens(lost)))
        raise StageFailed(
            "The GGUF does not stop", f"llama.cpp goes on after {names}, with which answers end."
        )
    return [answer(prompt, reply, "its answers") for prompt, reply in said if reply]


class Spoken:
    """How likely transformers finds our texts and a base's answers, which files of it are held against."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, folder: Path, answers: list[Passage]
    ) -> None:
        self._is_mixture = is_mixture(folder)
        self._answers = len(answers)
        self._passages = [*answers, *_texts(tokenizer)]
        self._expected = Reference(folder).expect(self._passages)

    def require_exact(self, gguf: Path) -> Figures:
        """An F16 file is the same but for rounding. Raises `StageFailed`."""
        found = self._by(gguf, len(self._passages))
        judge_exact(found, Bounds(), is_mixture=self._is_mixture)
        return found

    def require_near(self, gguf: Path, kind: Quantization) -> None:
        """Where the base answers a quantized file is near it, as its type allows. Raises `StageFailed`."""
        if not self._answers:
            return
        bounds = Bounds()
        found = self._by(gguf, self._answers, bounds.difference[kind])
        try:
            judge(found, None, kind, bounds)
        except StageFailed as error:
            raise StageFailed(error.title, f"{error.detail} Take a larger --type.") from error

    def _by(self, gguf: Path, count: int, tie: float = 0.0) -> Figures:
        passages, expected = self._passages[:count], self._expected[:count]
        with Scorer(gguf, CONTEXT) as scorer:
            said = [seen(scorer, *pair) for pair in zip(passages, expected, strict=True)]
        return figures(passages, expected, said, tie)


def _texts(tokenizer: PreTrainedTokenizerBase) -> Iterator[Passage]:
    """Our texts as a conversation and plain."""
    asked = [{"role": "user", "content": f"{CONVERSATIONS[0][0]['content']}. {TEXTS[1]}"}]
    for tokens in (prompt_ids(tokenizer, asked), ids(tokenizer, " ".join(TEXTS[:6]))):
        cut = tokens[:MOST_TOKENS]
        yield Passage(cut, list(range(1, len(cut))), "our texts")


def text_config(folder: Path) -> dict[str, Any]:
    """Its config.json, of a model that sees too the part that speaks."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    return config.get("text_config", config)  # type: ignore[no-any-return]


def is_mixture(folder: Path) -> bool:
    """Whether a router chooses experts."""
    names = ("num_experts", "num_local_experts", "n_routed_experts")
    return any(text_config(folder).get(name) for name in names)
