"""Whether a GGUF file speaks like the model that was trained, in figures and by what it answers."""

import math
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from transformers import PreTrainedTokenizerBase

from finetune.checks.comparing import Above, Expected, Figures
from finetune.checks.engine import Engine, Reply
from finetune.checks.passages import Passage, answer
from finetune.checks.reading import shown
from finetune.checks.verdict import Refused
from finetune.data.rows import Conversation
from finetune.job.parameters.checking import Bounds
from finetune.job.parameters.exporting import Quantization
from finetune.job.spec import Probe
from finetune.tokenizer import prompt_ids

PROBE_TOKENS = 16
FEWEST = 8
"""Different answers whose mean loss says something."""


def judge_exact(seen: Figures, bounds: Bounds, *, is_mixture: bool = False) -> None:
    """The F16 file against the reference. Raises `Refused`.

    A mixture's router may choose another expert on a tie, which moves that one place far: there the mean counts.
    """
    if not (seen.mean if is_mixture else seen.largest) <= bounds.largest:
        raise Refused(
            "The GGUF speaks differently",
            f"At {seen.largest_at} the log-probability of one of the five likeliest tokens is "
            f"{seen.largest} away from the trained model's; the bound is {bounds.largest}.",
        )


def judge(seen: Figures, above: Above | None, kind: str, bounds: Bounds) -> None:
    """A quantized file against the reference; its loss is so much `above` the F16 file's. Raises `Refused`.

    A loss that two standard errors may explain is not held against it, nor one over fewer than eight different
    answers; of a loss above 1 the bound is a share.
    """
    known = cast(Quantization, kind)
    if kind not in bounds.difference:
        raise Refused("The quantized GGUF is of an unknown type", f"It says {kind!r}.")
    most, least, most_above = (
        bounds.difference[known],
        bounds.equal_first[known],
        bounds.loss[known],
    )
    wrong = ""
    if not seen.mean <= most:
        wrong = (
            f"The log-probabilities of the five likeliest tokens are {seen.mean} away from the trained model's on "
            f"average; the bound for {kind} is {most}"
        )
    elif not seen.equal_first >= least:
        wrong = (
            f"Its likeliest token is the trained model's at {seen.equal_first:.0%} of {seen.places} places; the bound "
            f"for {kind} is {least:.0%}"
        )
    elif above and above.answers >= FEWEST and not above.mean - 2 * above.error <= most_above:
        wrong = (
            f"Its loss over {seen.tokens} tokens of answers is {above.mean} (error {above.error}) above the F16 "
            f"file's; the bound for {kind} is {most_above:.3f}"
        )
    if wrong:
        raise Refused(
            "The quantized GGUF speaks differently",
            f"{wrong}. The largest difference, {seen.largest}, is at {seen.largest_at}.",
        )


def ask(
    tokenizer: PreTrainedTokenizerBase,
    engine: Engine,
    prompts: Sequence[Conversation],
    *,
    must_answer: bool = True,
) -> tuple[list[Probe], list[Passage]]:
    """What the file answers, for publishing to repeat, and the same as passages; one that learned raw texts need not
    answer at all. Raises `Refused`.
    """
    probes, said = [], []
    for messages in prompts:
        before = prompt_ids(tokenizer, messages)
        reply: Reply = engine.chat(messages, PROBE_TOKENS)
        if reply.prompt_tokens != len(before):
            raise Refused(
                "The GGUF counts prompts differently",
                f"Prompt {shown(messages)}: {len(before)} tokens in training, {reply.prompt_tokens} in chat.",
            )
        tokens = engine.go_on(before, PROBE_TOKENS)
        probes.append(
            Probe(
                messages=messages,
                prompt_tokens=reply.prompt_tokens,
                max_tokens=PROBE_TOKENS,
                text=reply.text,
                finish_reason=reply.finish_reason,
            )
        )
        said.append(answer(before, tokens, f"the answer to {shown(messages)}"))
    if must_answer and not any(probe.text.strip() for probe in probes):
        raise Refused(
            "The model says nothing",
            "The file answers every held-out prompt with nothing. Train with other rows.",
        )
    return probes, said


def judge_answers(said: Sequence[Passage], references: Sequence[Expected], most: float) -> float:
    """The trained model would have said about the same: how much less likely it finds a token of the answers than its
    own choice, on average. Raises `Refused`.
    """
    if not references:  # it said nothing, which `ask` has refused
        return 0.0
    gaps = [reference.scores[:, 0] - reference.asked for reference in references]
    mean = round(float(np.concatenate(gaps).mean()), 4)
    if not mean <= most:
        worst = max(range(len(gaps)), key=lambda number: float(gaps[number].max()))
        place = int(gaps[worst].argmax())
        passage, reference = said[worst], references[worst]
        raise Refused(
            "The GGUF answers differently",
            f"The trained model finds the tokens of its answers {mean} less likely than its own choices, in mean "
            f"log-probability; the bound is {most}. Most so token {place + 1} of {passage.named}, "
            f"{passage.asked[place]}, where it would have said {int(reference.likeliest[place, 0])}.",
        )
    return mean


def check_end(
    passages: Sequence[Passage], references: Sequence[Expected], ends: Callable[[int], bool]
) -> str | None:
    """None when the trained model ends some answer where it was taught to; else a warning. Raises `Refused` when no
    answer that it learned has an end.
    """
    places = [
        (int(reference.likeliest[place, 0]), float(reference.asked[place]))
        for passage, reference in zip(passages, references, strict=True)
        for place, token in enumerate(passage.asked)
        if ends(token)
    ]
    if not places:
        raise Refused(
            "The end was never learned",
            "No answer of the training ends with a token at which llama.cpp stops: the chat template writes none after "
            "an answer, or not the one that the file names. The model would talk on for ever.",
        )
    if any(ends(first) for first, _ in places):
        return None
    likely = max(math.exp(score) for _, score in places)
    return (
        f"Where an answer ends the model goes on: the end is {likely:.2%} likely at most. Train longer, or set "
        "max_tokens when asking."
    )
