"""What pre-flight predicts, beside what a run takes: demo, about 100 M and about 700 M random weights, 16 and 4 bits.

    python scripts/bench_preflight.py FOLDER [SHAPE-BITS ...]       (demo-16 demo-4 100m-16 100m-4 700m-16 700m-4)

Makes the bases in FOLDER and runs each through the whole pipeline in one folder of jobs, so that every run is
predicted from those before it; a first run of the demo model calibrates. Prints a line a run: predicted by formula,
predicted with history, and real. One thread, and seconds of the processor, because a shared machine's wall time tells
of its other work: the history, too, is given those. The gate may refuse random weights; the stages count all the same.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

from finetune.job.directory import JobDirectory
from finetune.job.hardware import GIB
from finetune.job.pipeline import Pipeline
from finetune.job.spec import FineTuneSpec
from finetune.preflight import history

DEMO = Path(__file__).parent.parent / "examples" / "demo_model"
SHAPES = {
    "100m": {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "heads": 12},
    "700m": {"hidden_size": 2048, "intermediate_size": 4096, "num_hidden_layers": 16, "heads": 32},
}
WORDS = "the red fox sees nine owls "
ROWS = {"demo": (60, 40), "100m": (16, 20), "700m": (10, 12)}
"""Rows of a run, and words of a row."""
STAGES = ("train", "convert", "quantize")
"""Those whose time grows with the model; the others take seconds."""


def base(shape: str, folder: Path) -> Path:
    """A base of random weights with the demo model's tokenizer, made once."""
    if shape == "demo":
        return DEMO
    target = folder / shape
    if not target.exists():
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        sizes: dict[str, Any] = dict(SHAPES[shape])
        heads = sizes.pop("heads")
        torch.manual_seed(0)
        torch.set_default_dtype(torch.bfloat16)
        marks = {"bos_token_id": 1, "eos_token_id": 3, "pad_token_id": 0}
        config: Any = LlamaConfig(
            vocab_size=32000,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            tie_word_embeddings=True,
            max_position_embeddings=4096,
            **sizes,
            **marks,
        )
        LlamaForCausalLM(config).save_pretrained(str(target))
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            shutil.copyfile(DEMO / name, target / name)
    return target


def rows(shape: str) -> Iterator[str]:
    """A dataset of conversations, line by line."""
    count, words = ROWS[shape]
    for number in range(count):
        turns = [
            {"role": "user", "content": f"number {number} {WORDS}"},
            {"role": "assistant", "content": f"{number} " + WORDS * (words // 6)},
        ]
        yield json.dumps({"messages": turns}) + "\n"


def run(name: str, folder: Path) -> JobDirectory:
    """One job from beginning to end."""
    shape, bits = name.split("-")
    job = JobDirectory(folder / "jobs" / f"job_{name}_{time.time_ns()}")
    job.inputs.mkdir(parents=True)
    job.input_path("train", "jsonl").write_text("".join(rows(shape)))
    spec = FineTuneSpec.model_validate(
        {
            "model_name": "bench",
            "base_model": shape,
            "base_model_folder": os.path.relpath(base(shape, folder), job.path),
            "bits": int(bits),
        }
    )
    job.spec_path.write_text(spec.model_dump_json())
    Pipeline(job).run()
    return job


def on_a_quiet_machine(job: JobDirectory) -> dict[str, float]:
    """The real figures, with the processor's seconds in place of the clock's."""
    parts = json.loads((job.path / "preflight.json").read_text())
    real: dict[str, float] = dict(parts["real"]["figures"])
    for event in job.events()[0]:
        if event.type == "used" and f"seconds.{event.stage}" in real:
            real[f"seconds.{event.stage}"] = event.fields["cpu_seconds"]
    real.pop("step_seconds", None)
    real.pop("seconds.dataset", None)  # nearly all of it is the imports of the process before
    *before, last = history.read(job.path.parent)
    (job.path.parent / history.FILE).unlink()
    for record in (*before, replace(last, real=real)):
        history.add(job.path.parent, record)
    return real


def line(name: str, job: JobDirectory, real: dict[str, float]) -> str:
    """A row of the table: predicted with history / real, and their ratio; the formula's alone in brackets."""
    counted = json.loads((job.path / "preflight.json").read_text())["counted"]

    def told(figures: dict[str, float], figure: str) -> float:
        if figure == "ram":
            return max(value for name, value in figures.items() if name.startswith("ram.")) / GIB
        if figure == "disk":
            return figures["disk"] / GIB
        return sum(figures.get(f"seconds.{stage}", 0.0) for stage in STAGES)

    cells = [name]
    for figure in ("ram", "disk", "seconds"):
        said, alone, was = (
            told(one, figure) for one in (counted["figures"], counted["formula"], real)
        )
        cells.append(f"{said:.2f} / {was:.2f} = {said / was:.2f} [{alone / was:.2f}]")
    return "| " + " | ".join(cells) + " |"


def main(arguments: list[str]) -> None:
    """Calibrate, then a line a run."""
    folder = Path(arguments[0]).resolve()
    names = arguments[1:] or ["demo-16", "demo-4", "100m-16", "100m-4", "700m-16", "700m-4"]
    print("| run | peak RAM, GiB | disk, GiB | seconds |\n|---|---|---|---|", flush=True)
    for name in ["demo-16", *names] if not (folder / "jobs" / history.FILE).exists() else names:
        job = run(name, folder)
        print(line(name, job, on_a_quiet_machine(job)), flush=True)
        shutil.rmtree(job.path)


if __name__ == "__main__":
    main(sys.argv[1:])
