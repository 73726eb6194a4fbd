"""What the demo model can do, by letting it write: every score is exact match of whole answers.

Names and values are of the reserved ones that training never draws.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from examples.recipe.prompts import REFUSAL, answer_prompt
from examples.recipe.samples import Conversations, Message, Sample, turn
from examples.recipe.tasks import Tasks
from examples.recipe.text import Shape
from examples.recipe.turns import said_in

ONE_SENTENCE = Shape((3, 3), (1, 1), 0.0, plain=True)
SHAPES = {
    "one sentence, unrelated distractors": ONE_SENTENCE,
    "one sentence, hard distractors": ONE_SENTENCE._replace(hard=1.0),
    "1-3 sentences with headings, six passages": Shape((6, 6), (1, 3), 0.5),
    "40 words": Shape((3, 3), (1, 3), 0.5, words=40),
    "80 words": Shape((3, 3), (1, 4), 0.5, words=80),
}


class Case(NamedTuple):
    """A conversation up to the assistant's turn, and what it must say."""

    kind: str
    messages: list[Message]
    expected: str
    tools: tuple[dict[str, Any], ...] = ()


def _last(sample: Sample, kind: str) -> Case:
    return Case(kind, sample.messages[:-1], sample.messages[-1]["content"])


def cases(count: int, seed: int) -> list[Case]:
    """`count` cases of every kind, the same ones for the same seed."""
    made: list[Case] = []
    for label, shape in SHAPES.items():
        draw = Conversations(f"measure {seed} {label}", held_out=True)
        made += [
            _last(draw.from_passages(shape, 1, refuse=0.0), f"answer: {label}")
            for _ in range(count)
        ]
    for label, hard in (("unrelated", 0.0), ("hard", 1.0)):
        draw = Conversations(f"measure {seed} refuse {label}", held_out=True)
        made += [
            _refusal(draw, ONE_SENTENCE._replace(hard=hard), f"refuse: {label}")
            for _ in range(count)
        ]
    draw = Conversations(f"measure {seed} talk", held_out=True)
    made += [_last(draw.rephrase(3), "rephrase") for _ in range(count)]
    made += [_last(draw.unknown(), "unknown without passages") for _ in range(count)]
    greetings = (draw.greeting() for _ in range(count))
    made += [
        _last(Sample("", s.messages[: 3 if s.messages[0]["role"] == "system" else 2]), "persona")
        for s in greetings
    ]
    return made


def task_cases(count: int, seed: int) -> list[Case]:
    """The same of the second stage: JSON with named keys, and calls of functions, or none, among one to three."""
    draw = Tasks(f"measure {seed} tasks", held_out=True)
    made: list[Case] = []
    for _ in range(count):
        while not (asked := draw.records.record()).names_keys:
            pass
        made.append(Case("JSON with named keys", [turn("user", asked.question)], asked.answer))
    for kind, fits in (("call of a function", 1.0), ("no call where none fits", 0.0)):
        for _ in range(count):
            sample = draw.called(1, fits, ends_with_call=True)
            messages, last = sample.messages[:-1], sample.messages[-1]
            made.append(Case(kind, messages, said_in(last), sample.tools))
    return made


def _refusal(draw: Conversations, shape: Shape, kind: str) -> Case:
    while not (context := draw.writer.context(shape)).missing:
        pass
    question = context.missing[0].question(draw.random)
    return Case(kind, [turn("user", answer_prompt(question, context.blocks))], REFUSAL)


def _prompt(tokenizer: PreTrainedTokenizerFast, case: Case) -> str:
    return cast(
        str,
        tokenizer.apply_chat_template(
            case.messages, tools=[*case.tools] or None, tokenize=False, add_generation_prompt=True
        ),
    )


@torch.inference_mode()
def replies(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    cases: Sequence[Case],
    most: int = 120,
) -> list[str]:
    """What the model says, greedily, with the end mark cut off; without one, `(no end)` is appended."""
    prompts = [_prompt(tokenizer, case) for case in cases]
    order = sorted(range(len(cases)), key=lambda i: len(prompts[i]))
    said = [""] * len(cases)
    tokenizer.padding_side = "left"
    speaker: Any = model
    for start in range(0, len(order), 32):
        chosen = order[start : start + 32]
        batch: Any = tokenizer(
            [prompts[i] for i in chosen],
            return_tensors="pt",
            padding=True,
            add_special_tokens=False,
        )
        out: Any = speaker.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            max_new_tokens=most,
            do_sample=False,
        )
        for index, row in zip(chosen, out[:, batch["input_ids"].shape[1] :].tolist(), strict=True):
            end = cast(int, tokenizer.eos_token_id)
            text = cast(
                str, tokenizer.decode([t for t in row if t not in (end, tokenizer.pad_token_id)])
            )
            said[index] = text if end in row else text + " (no end)"
    return said


def measure(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, todo: Sequence[Case]
) -> tuple[dict[str, float], list[str]]:
    """Per cent of exact answers by kind, false refusals among the answerable, and everything that was said."""
    said = replies(model, tokenizer, todo)
    total, right, refused = Counter[str](), Counter[str](), Counter[str]()
    for case, reply in zip(todo, said, strict=True):
        total[case.kind] += 1
        right[case.kind] += reply == case.expected
        if case.kind.startswith("answer"):
            refused[case.kind.replace("answer", "false refusals")] += reply == REFUSAL
    scores = {kind: round(100 * right[kind] / total[kind], 1) for kind in total}
    scores |= {
        kind: round(100 * n / total[kind.replace("false refusals", "answer")], 1)
        for kind, n in refused.items()
    }
    return scores, said
