"""Which tokens of a row the model reads, and which of them it learns: the one function of training and of the linter.

It loads no torch.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase
from trl.chat_template_utils import get_training_chat_template

from finetune.data.rows import Chat, Conversation, Preference, Row
from finetune.tokenizer import as_read, in_normal_form, template_refuses

Loss = Literal["assistant", "all"]
IGNORED = -100
"""The label of a token that is read and not learned."""


@dataclass(frozen=True, slots=True)
class Example:
    """One sequence: its token ids, and of each whether it is learned."""

    ids: list[int]
    learned: list[bool]

    def columns(self) -> dict[str, list[int]]:
        """As a trainer takes it: nothing is left for it to decide."""
        labels = [
            id_ if learned else IGNORED for id_, learned in zip(self.ids, self.learned, strict=True)
        ]
        return {"input_ids": self.ids, "labels": labels}


def row_as_read(tokenizer: PreTrainedTokenizerBase, row: Row) -> Row:
    """The row as the model reads it, in training as in chat."""
    if isinstance(row, Chat):
        return replace(row, messages=as_read(tokenizer, row.messages))
    if isinstance(row, Preference):
        prompt, chosen, rejected = (
            as_read(tokenizer, turns) for turns in (row.prompt, row.chosen, row.rejected)
        )
        return replace(row, prompt=prompt, chosen=chosen, rejected=rejected)
    return replace(row, text=in_normal_form(tokenizer, row.text))


class Supervision:
    """Rows as sequences, by one tokenizer. A row is one sequence where the template marks what the assistant says;
    where it does not, each answer is one, behind what stands before it.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, loss: Loss = "assistant") -> None:
        self._tokenizer = tokenizer
        self._loss = loss
        self._template: str | None = None
        self._by_marks = tokenizer.is_fast
        try:
            self._template = get_training_chat_template(tokenizer)
        except ValueError:
            self._by_marks = False

    def of(self, row: Row) -> list[Example]:
        """The sequences of a row: two of a preference. Raises `StageFailed` when the template refuses it."""
        if isinstance(row, Chat):
            return self._of_chat(row.messages, row.tools)
        if isinstance(row, Preference):
            pairs = (
                self._completion(row.prompt, row.chosen),
                self._completion(row.prompt, row.rejected),
            )
            return list(pairs)
        ids = list(self._tokenizer(row.text)["input_ids"])
        if ids[-1:] != [self._tokenizer.eos_token_id]:
            ids.append(int(self._tokenizer.eos_token_id))
        return [Example(ids, [True] * len(ids))]

    def _of_chat(self, messages: Conversation, tools: list[dict[str, Any]] | None) -> list[Example]:
        if self._loss == "all":
            ids = self._encoded(messages, tools)["input_ids"]
            return [Example(ids, [True] * len(ids))]
        if self._by_marks:
            marked = self._encoded(
                messages, tools, chat_template=self._template, return_assistant_tokens_mask=True
            )
            return [Example(marked["input_ids"], [bool(bit) for bit in marked["assistant_masks"]])]
        return [
            self._completion(messages[:place], [turn], tools)
            for place, turn in enumerate(messages)
            if turn["role"] == "assistant" and place > 0
        ]

    def _completion(
        self,
        prompt: Conversation,
        completion: Conversation,
        tools: list[dict[str, Any]] | None = None,
    ) -> Example:
        """Learned from where it is no longer the prompt."""
        before = self._encoded(prompt, tools, add_generation_prompt=True)["input_ids"]
        ids = self._encoded([*prompt, *completion], tools)["input_ids"]
        pairs = enumerate(zip(before, ids, strict=False))
        first = next((place for place, (a, b) in pairs if a != b), min(len(before), len(ids)))
        return Example(ids, [place >= first for place in range(len(ids))])

    def _encoded(
        self, messages: Conversation, tools: list[dict[str, Any]] | None, **how: Any
    ) -> dict[str, Any]:
        # The library's annotations want no lists of mappings, and promise no mapping.
        tokenizer: Any = self._tokenizer
        try:
            encoded: dict[str, Any] = tokenizer.apply_chat_template(
                messages, tools=tools, tokenize=True, return_dict=True, **how
            )
        except Exception as error:  # a template raises what it likes
            raise template_refuses(error, messages) from error
        return encoded
