"""Stage `verify`: the exported files are only good when they speak like the model that was trained.

They cut text into the same tokens, render conversations into the same prompts, and find the tokens of trained answers
as likely as base and adapter do. What the published file then says to eight prompts is held against the trained model
too, and kept in `probes.json`, for publishing to repeat. What is wrong is written down in `report.json`, and refused
there.
"""

import gc
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from finetune import gguf_file
from finetune.checks.comparing import Expected, Figures, figures, seen
from finetune.checks.engine import Engine
from finetune.checks.passages import Passage, answer, choose
from finetune.checks.reading import check_prompts, check_texts
from finetune.checks.reference import Reference
from finetune.checks.samples import TEXTS, choose_prompts, renderable
from finetune.checks.scoring import Scorer
from finetune.checks.speaking import PROBE_TOKENS, ask, check_end, judge, judge_answers, judge_exact
from finetune.checks.verdict import Verdict
from finetune.data.rows import Chat, Conversation, Row, read_rows
from finetune.job import stage
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.locks import write_atomically
from finetune.job.spec import FineTuneSpec, Probe, Probes
from finetune.tokenizer import load_tokenizer, prompt_ids
from finetune.training.supervision import Supervision

TEXT_ROWS = 50
EXACT = "convert/model-f16.gguf"
QUANTIZED = "quantize/model.gguf"
MOST_APART = 3.0


def _context(path: Path, tokenizer: PreTrainedTokenizerBase, prompts: list[Conversation]) -> int:
    longest = max(len(prompt_ids(tokenizer, messages)) for messages in prompts)
    return min(gguf_file.read(path).context_length, longest + PROBE_TOKENS + 64)


def _figures(
    scorer: Scorer, passages: Sequence[Passage], references: Sequence[Expected]
) -> Figures:
    answers = [seen(scorer, p, r) for p, r in zip(passages, references, strict=True)]
    return figures(passages, references, answers)


def verify(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    """convert/, quantize/ and train/adapter/ -> verify/probes.json, verify/report.json."""
    data = stage.needs(job, "dataset", "train.jsonl", "eval.jsonl")
    trained = stage.needs(job, "train", "model" if spec.adapter == "full" else "adapter")
    stage.needs(job, "convert", "model-f16.gguf")
    stage.needs(job, "quantize", "model.gguf")
    base = stage.base_folder(job, spec)
    # The base's tokenizer, not the merged one: what came wrong out of the merge must be seen.
    tokenizer = load_tokenizer(base)
    rows: list[Row] = [*read_rows(data / "eval.jsonl"), *read_rows(data / "train.jsonl")]
    chats = [row.messages for row in rows if isinstance(row, Chat)]
    prompts = choose_prompts(tokenizer, chats)
    texts = [*TEXTS, *(turn["content"] for row in chats[:TEXT_ROWS] for turn in row)]
    conversations = [*prompts, *renderable(tokenizer)]
    passages = choose(Supervision(tokenizer), rows)

    verdict = Verdict()
    report: dict[str, Any] = {"files": {}}
    probes: list[Probe] = []
    said: list[Passage] = []
    with verdict.of(EXACT):
        exact = Engine(job.path / EXACT, _context(job.path / EXACT, tokenizer, prompts))
        report["texts"] = check_texts(tokenizer, exact, texts)
        report["prompts"] = check_prompts(tokenizer, exact, conversations)
        if not passages:
            passages = [
                answer(prompt, exact.go_on(prompt, PROBE_TOKENS))
                for prompt in (prompt_ids(tokenizer, messages) for messages in conversations)
            ]
        del exact
        gc.collect()
    with verdict.of(QUANTIZED):
        served = Engine(job.path / QUANTIZED, _context(job.path / QUANTIZED, tokenizer, prompts))
        check_prompts(tokenizer, served, conversations)
        probes, said = ask(tokenizer, served, prompts)
        del served
        gc.collect()
    learned_whole = spec.adapter == "full"
    reference = (
        Reference(trained / "model") if learned_whole else Reference(base, trained / "adapter")
    )
    references = reference.expect([*passages, *said])
    taught, spoken = references[: len(passages)], references[len(passages) :]
    context = max(len(passage.tokens) for passage in passages) + 1
    f16: Figures | None = None
    with verdict.of(EXACT), Scorer(job.path / EXACT, context) as scorer:
        f16 = _figures(scorer, passages, taught)
        report["files"][EXACT] = asdict(f16)
        judge_exact(f16, spec.bounds)
    with verdict.of(QUANTIZED), Scorer(job.path / QUANTIZED, context) as scorer:
        small = _figures(scorer, passages, taught)
        report["files"][QUANTIZED] = asdict(small)
        report["stop_warning"] = check_end(passages, taught, scorer.ends)
        if report["stop_warning"]:
            job.append_event("verify", "warning", kind="stop", detail=report["stop_warning"])
        judge(small, f16, spec.quantization[0], spec.bounds)
        judge_answers(said, spoken, MOST_APART)
    report["refused"] = verdict.written()
    report_path = folder.path / "report.json"
    write_atomically(report_path, json.dumps(report, indent=1))
    files = [report_path]
    if probes:
        write_atomically(job.probes_path, Probes(probes=probes).model_dump_json(indent=1))
        files.append(job.probes_path)
    folder.mark_done(files)


if __name__ == "__main__":
    sys.exit(stage.main("verify", verify))
