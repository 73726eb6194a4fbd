"""Rows as tokens: what the base's tokenizer and chat template make of them, and which tokens are learned."""

import math
import re
from array import array
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from finetune.data.rows import Chat, Conversation, Row, Text
from finetune.job.stage import StageFailed
from finetune.lint import codes
from finetune.lint.codes import Code
from finetune.lint.report import Figures, Piece, Sample
from finetune.lint.seen import Seen, hash_of
from finetune.lint.turns import conversations_of, loose_key, text_of, turns_of
from finetune.tokenizer import end_marks, ids, load_tokenizer, render
from finetune.training.supervision import Example, Loss, Supervision, row_as_read

MARKS = (
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|end|>", "<|eot_id|>", "<|begin_of_text|>"),
    *("<|start_header_id|>", "<|end_header_id|>", "<start_of_turn>", "<end_of_turn>", "<|eom_id|>"),
)
"""Marks that are one token each in every model that was taught them, whatever its family."""
ENDS = ("<|im_end|>", "<|endoftext|>", "<|end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>")
"""Those of them that end an answer: llama.cpp stops at them by their names."""
_MARKS = re.compile("|".join(map(re.escape, MARKS)))
_AFTER_THE_END = 3
"""Tokens, such as a line's end, that a template may write after the one that ends an answer."""
_MOSTLY = 0.5
_FEW = 8
"""Tokens below which a share tells nothing."""
SHOWN_CHARACTERS = 10_000
"""Of a piece of a sample."""


class Tokens:
    """Looks at rows by one base."""

    def __init__(
        self, base: Path, max_length: int, loss: Loss = "assistant", template: str | None = None
    ) -> None:
        """`template` is a chat template in place of the base's. Raises `StageFailed` when the tokenizer is unusable."""
        self.tokenizer = load_tokenizer(base, template)
        self._max_length = max_length
        self._supervision = Supervision(self.tokenizer, loss)
        self._ends = _ends(self.tokenizer, base)
        self._control = re.compile(
            "|".join(re.escape(mark) for mark in _control_tokens(self.tokenizer)) or r"(?!)"
        )
        self._split_marks = frozenset(mark for mark in MARKS if not _is_token(self.tokenizer, mark))
        self._is_poor: dict[int, bool] = {}
        self._rendered = Seen()
        self._drops_system: bool | None = None
        self._own_split: str | None = None
        self._looked_for_split = False
        self.left_out: set[int] = set()
        """Training rows of which nothing is left to learn after cutting."""

    def wrong_in(self, row: Row, figures: Figures | None) -> Iterator[tuple[Code, str]]:
        """What is wrong with a row; one to train on counts in `figures`."""
        row = row_as_read(self.tokenizer, row)
        try:
            examples = self._supervision.of(row)
        except StageFailed as refused:
            yield codes.TEMPLATE_REFUSES, refused.detail.rstrip(".")
            return
        longest = max((len(example.ids) for example in examples), default=0)
        if figures is not None:
            self._count(figures, row, examples, longest)
        yield from self._supervised(row, examples, longest, figures is not None)
        if examples:
            yield from self._alike(row, examples)
            yield from self._poor(examples[-1])
        yield from self._marks(row)
        for turns in conversations_of(row)[:1]:
            if turns[0]["role"] == "system" and self._system_is_dropped(turns):
                yield codes.SYSTEM_DROPPED, ""

    def _count(self, figures: Figures, row: Row, examples: list[Example], longest: int) -> None:
        most = longest if isinstance(row, Text) else self._max_length  # a long text goes on
        figures.longest = max(figures.longest, longest)
        for example in examples:
            figures.sequences += math.ceil(min(len(example.ids), most) / self._max_length)
            figures.tokens += min(len(example.ids), most)
            figures.supervised_tokens += sum(example.learned[:most])

    def _supervised(
        self, row: Row, examples: list[Example], longest: int, is_trained_on: bool
    ) -> Iterator[tuple[Code, str]]:
        if not any(any(example.learned) for example in examples):
            yield codes.NO_SUPERVISED_TOKEN, ""
            return
        if isinstance(row, Text):
            return
        limit = self._max_length
        if not any(any(example.learned[:limit]) for example in examples):
            if is_trained_on:
                self.left_out.add(row.number)
            yield codes.NOTHING_TO_LEARN, f"{longest} tokens, max_length={limit}"
        elif longest > limit:
            yield codes.CUT, f"{longest} tokens, max_length={limit}"
        elif not self._is_ended(examples[-1]):
            yield codes.END_UNSUPERVISED, f"it ends with {self._end_of(examples[-1])!r}"

    def _is_ended(self, example: Example) -> bool:
        """Whether what is learned last holds a token that ends it."""
        if not any(example.learned):
            return True
        last = len(example.learned) - example.learned[::-1].index(True)
        tail = range(max(0, last - 1 - _AFTER_THE_END), last)
        return any(example.learned[place] and example.ids[place] in self._ends for place in tail)

    def _end_of(self, example: Example) -> str:
        learned = [
            id_ for id_, learned in zip(example.ids, example.learned, strict=True) if learned
        ]
        return str(self.tokenizer.decode(learned[-4:]))

    def _alike(self, row: Row, examples: list[Example]) -> Iterator[tuple[Code, str]]:
        content = loose_key(row)
        tokens = b"".join(array("I", example.ids).tobytes() for example in examples)
        if self._rendered.first(hash_of(tokens), content) != content:
            yield codes.TEMPLATE_WITHOUT_EFFECT, ""

    def _poor(self, example: Example) -> Iterator[tuple[Code, str]]:
        known = self._is_poor
        poor = 0
        for id_ in example.ids:
            if id_ not in known:
                known[id_] = _is_poor(self.tokenizer, id_)
            poor += known[id_]
        if len(example.ids) >= _FEW and poor > _MOSTLY * len(example.ids):
            yield codes.UNSUPPORTED_CHARACTERS, f"{poor} of {len(example.ids)} tokens"

    def _marks(self, row: Row) -> Iterator[tuple[Code, str]]:
        for place, turn in enumerate(turns_of(row), 1):
            text = text_of(turn)
            if found := self._control.search(text):
                yield codes.SPECIAL_IN_TEXT, f"turn {place}: {found[0]}"
            for mark in _MARKS.findall(text):
                if mark in self._split_marks:
                    yield codes.SPECIAL_SPLIT, f"turn {place}: {mark}"
                    break
        if isinstance(row, Chat) and (split := self._own_mark_split(row.messages)):
            yield codes.SPECIAL_SPLIT, f"the chat template writes {split}"

    def _own_mark_split(self, turns: Conversation) -> str | None:
        """A mark that the template writes and the base has no token for; looked for once."""
        if not self._looked_for_split:
            self._looked_for_split = True
            written = _MARKS.findall(render(self.tokenizer, turns, prompt=False))
            said = {mark for turn in turns for mark in _MARKS.findall(text_of(turn))}
            split = (mark for mark in written if mark in self._split_marks and mark not in said)
            self._own_split = next(split, None)
        return self._own_split

    def _system_is_dropped(self, turns: Conversation) -> bool:
        """Whether the template renders the same without the system turn; looked for once."""
        if self._drops_system is None:
            with_it = render(self.tokenizer, turns, prompt=False)
            self._drops_system = text_of(turns[0]).strip() not in with_it
        return self._drops_system

    def sample(self, row: Row) -> Sample | None:
        """The row as the model reads it; None when the template refuses it."""
        try:
            examples = self._supervision.of(row_as_read(self.tokenizer, row))
        except StageFailed:
            return None
        pieces: list[Piece] = []
        for example in examples:
            runs = groupby(zip(example.learned, example.ids, strict=True), key=itemgetter(0))
            for learned, run in runs:
                text = str(self.tokenizer.decode([id_ for _, id_ in run]))
                pieces.append(Piece(text=text[:SHOWN_CHARACTERS], learned=learned))
        return Sample(
            row=row.number, tokens=sum(len(example.ids) for example in examples), pieces=pieces
        )


def _is_token(tokenizer: PreTrainedTokenizerBase, mark: str) -> bool:
    return len(ids(tokenizer, mark)) == 1


def _ends(tokenizer: PreTrainedTokenizerBase, base: Path) -> set[int]:
    """Every token at which the model stops."""
    known = {ids(tokenizer, mark)[0] for mark in ENDS if _is_token(tokenizer, mark)}
    return known | set(end_marks(tokenizer, base))


def _control_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """What is read as a token of its own wherever it stands in a text, longest first."""
    added = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    names = {*map(str, tokenizer.all_special_tokens), *added}
    return sorted((name for name in names if name.strip()), key=len, reverse=True)


def _is_poor(tokenizer: PreTrainedTokenizerBase, id_: int) -> bool:
    """Unknown, or a piece of a character."""
    if id_ == tokenizer.unk_token_id:
        return True
    return "\ufffd" in str(tokenizer.decode([id_]))
