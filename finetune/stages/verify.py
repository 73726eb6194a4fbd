"""Stage `verify`: the exported file is only good when it speaks like the model that was trained.

It loads, cuts text into the same tokens, renders conversations into the same prompts, goes on with the same greedy
tokens, answers and stops. What it then says to eight prompts is kept in `probes.json`, for publishing to repeat.
"""

import gc
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from finetune import gguf_file
from finetune.checks.engine import Engine
from finetune.checks.reference import Greedy, Reference
from finetune.checks.samples import TEXTS, choose_prompts, renderable
from finetune.data.rows import Conversation, conversations_of
from finetune.job import stage
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.locks import write_atomically
from finetune.job.spec import FineTuneSpec, Probe, Probes
from finetune.job.stage import StageFailed
from finetune.tokenizer import ids, load_tokenizer, prompt_ids

GREEDY_TOKENS = 8
PROBE_TOKENS = 16
STOP_TOKENS = 256
NEAR_TIE = 0.15  # logits; half precision moves them by about as much
TEXT_ROWS = 50


def _shown(messages: Conversation) -> str:
    return repr(messages[-1]["content"][:80])


def _difference(ours: list[int], theirs: list[int]) -> str:
    place = next(
        (n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
        min(len(ours), len(theirs)),
    )
    return (
        f"{len(ours)} tokens in training, {len(theirs)} in the GGUF; the first difference is at {place}: "
        f"{ours[place : place + 4]} against {theirs[place : place + 4]}"
    )


def check_texts(tokenizer: PreTrainedTokenizerBase, engine: Engine, texts: Iterable[str]) -> int:
    """Equal token ids for plain text. Raises `StageFailed`; returns how many were compared."""
    count = 0
    for text in texts:
        ours, theirs = ids(tokenizer, text), engine.tokens(text)
        if ours != theirs:
            raise StageFailed(
                "The GGUF cuts text into other tokens",
                f"Text {text[:80]!r}: {_difference(ours, theirs)}.",
            )
        count += 1
    return count


def check_prompts(
    tokenizer: PreTrainedTokenizerBase, engine: Engine, prompts: Iterable[Conversation]
) -> int:
    """Equal token ids for rendered conversations, begin token included. Raises `StageFailed`."""
    count = 0
    for messages in prompts:
        ours, theirs = prompt_ids(tokenizer, messages), engine.prompt_tokens(messages)
        if ours != theirs:
            raise StageFailed(
                "The GGUF renders prompts differently",
                f"Prompt {_shown(messages)}: {_difference(ours, theirs)}. "
                "The chat template in the file is not the one of the training.",
            )
        count += 1
    return count


def compare_greedy(greedy: Greedy, theirs: list[int], messages: Conversation) -> dict[str, Any]:
    """Hold the GGUF's greedy tokens against ours; a near tie may fall either way. Raises `StageFailed`.

    The file may know more end tokens than the base says, so it may end earlier, on the same token.
    """
    ours = greedy.tokens
    entry: dict[str, Any] = {"prompt": _shown(messages), "tokens": ours, "gguf_tokens": theirs}
    place = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), None)
    if place is not None:
        entry["near_tie"] = gap = round(greedy.gap(place, theirs[place]), 4)
        if gap > NEAR_TIE:
            raise StageFailed(
                "The GGUF speaks differently",
                f"Prompt {_shown(messages)}: greedy tokens in training {ours}, in the GGUF {theirs}; "
                f"token {place} differs by {gap} in its logit, which is no near tie.",
            )
    elif len(theirs) > len(ours):
        raise StageFailed(
            "The GGUF does not stop",
            f"Prompt {_shown(messages)}: the trained model ends with token {ours[-1]}, the file goes on: "
            f"{theirs}.",
        )
    return entry


def check_stop(
    reference: Reference,
    tokenizer: PreTrainedTokenizerBase,
    engine: Engine,
    prompts: list[Conversation],
) -> str | None:
    """None when some answer ends by itself; else a warning, when the trained model does not end either."""
    empty = True
    for messages in prompts:
        reply = engine.chat(messages, STOP_TOKENS)
        empty = empty and not reply.text.strip()
        if reply.finish_reason == "stop" and not empty:
            return None
    if reference.go_on(prompt_ids(tokenizer, prompts[0]), STOP_TOKENS).ended and not empty:
        raise StageFailed(
            "The GGUF does not stop",
            f"Prompt {_shown(prompts[0])}: the trained model ends its answer within {STOP_TOKENS} tokens, "
            "the file never does.",
        )
    if empty:
        return "The model answers the held-out prompts with nothing. Train with other rows."
    return (
        f"No answer ended within {STOP_TOKENS} tokens. Train longer, or set max_tokens when asking."
    )


def make_probes(
    tokenizer: PreTrainedTokenizerBase, engine: Engine, prompts: list[Conversation]
) -> list[Probe]:
    """What the file answers, for publishing to repeat. Raises `StageFailed`."""
    probes = []
    for messages in prompts:
        reply = engine.chat(messages, PROBE_TOKENS)
        expected = len(prompt_ids(tokenizer, messages))
        if reply.prompt_tokens != expected:
            raise StageFailed(
                "The GGUF counts prompts differently",
                f"Prompt {_shown(messages)}: {expected} tokens in training, {reply.prompt_tokens} in chat.",
            )
        probes.append(
            Probe(
                messages=messages,
                prompt_tokens=reply.prompt_tokens,
                max_tokens=PROBE_TOKENS,
                text=reply.text,
                finish_reason=reply.finish_reason,
            )
        )
    return probes


def _context(path: Path, tokenizer: PreTrainedTokenizerBase, prompts: list[Conversation]) -> int:
    longest = max(len(prompt_ids(tokenizer, messages)) for messages in prompts)
    return min(gguf_file.read(path).context_length, longest + STOP_TOKENS + 64)


def verify(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    """convert/, quantize/ and train/adapter/ -> verify/probes.json, verify/report.json."""
    data = stage.needs(job, "dataset", "train.jsonl", "eval.jsonl")
    trained = stage.needs(job, "train", "model" if spec.adapter == "full" else "adapter")
    f16 = stage.needs(job, "convert", "model-f16.gguf") / "model-f16.gguf"
    quantized = stage.needs(job, "quantize", "model.gguf") / "model.gguf"
    base = stage.base_folder(job, spec)
    # The base's tokenizer, not the merged one: what came wrong out of the merge must be seen.
    tokenizer = load_tokenizer(base)
    rows = conversations_of(data / "eval.jsonl") + conversations_of(data / "train.jsonl")
    prompts = choose_prompts(tokenizer, rows)
    texts = [*TEXTS, *(turn["content"] for row in rows[:TEXT_ROWS] for turn in row)]
    conversations = [*prompts, *renderable(tokenizer)]

    exact = Engine(f16, _context(f16, tokenizer, prompts))
    report: dict[str, Any] = {
        "texts": check_texts(tokenizer, exact, texts),
        "prompts": check_prompts(tokenizer, exact, conversations),
    }
    if spec.adapter == "full":
        reference = Reference(trained / "model", None, tokenizer)
    else:
        reference = Reference(base, trained / "adapter", tokenizer)
    report["greedy"] = []
    for messages in prompts:
        prompt = prompt_ids(tokenizer, messages)
        greedy = reference.go_on(prompt, GREEDY_TOKENS)
        theirs = exact.go_on(prompt, GREEDY_TOKENS)
        report["greedy"].append(compare_greedy(greedy, theirs, messages))
    del exact
    gc.collect()

    served = Engine(quantized, _context(quantized, tokenizer, prompts))
    check_prompts(tokenizer, served, conversations)
    report["stop_warning"] = check_stop(reference, tokenizer, served, prompts)
    if report["stop_warning"]:
        job.append_event("verify", "warning", kind="stop", detail=report["stop_warning"])
    probes = Probes(probes=make_probes(tokenizer, served, prompts))
    report_path = folder.path / "report.json"
    write_atomically(job.probes_path, probes.model_dump_json(indent=1))
    write_atomically(report_path, json.dumps(report, indent=1))
    folder.mark_done([job.probes_path, report_path])


if __name__ == "__main__":
    sys.exit(stage.main("verify", verify))
