"""The work of `scripts/check_gpu.sh`: makes a base of random weights, runs a job on it, and says what it took."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_finetune import DEMO, rows

from finetune.job.directory import JobDirectory
from finetune.job.pipeline import Pipeline
from finetune.job.spec import FineTuneSpec
from finetune.preflight.record import read_parts

GIB = 2**30
SIZES = {
    "7b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 32000,
    },
    "tiny": {
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "vocab_size": 1536,
    },
}
ROWS = {"7b": (60, 200), "tiny": (20, 40)}
"""Rows, and words of a row."""


def make_base(size: str, folder: Path) -> None:
    """Random weights in bfloat16 in Mistral's form, with the demo model's tokenizer."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    marks = {"bos_token_id": 1, "eos_token_id": 3, "pad_token_id": 0}
    shape: dict[str, Any] = {**SIZES[size], **marks, "max_position_embeddings": 4096}
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model: Any = MistralForCausalLM(MistralConfig(**shape))
    count = sum(parameter.numel() for parameter in model.parameters())
    model.save_pretrained(str(folder))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(DEMO / name, folder / name)
    del model
    torch.set_default_dtype(torch.float32)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # the job and the bench run in processes of their own
    print(f"base: {count / 1e6:.0f} M random parameters")


def run_job(size: str, base: Path, folder: Path) -> JobDirectory:
    """QLoRA from the dataset to the verified file."""
    count, words = ROWS[size]
    job = JobDirectory(folder / "job_check")
    job.inputs.mkdir(parents=True)
    lines = (json.dumps(row) + "\n" for row in rows(count, words))
    job.input_path("train", "jsonl").write_text("".join(lines))
    spec = FineTuneSpec.model_validate(
        {
            "model_name": "check",
            "base_model": size,
            "base_model_folder": os.path.relpath(base, job.path),
            "bits": 4,
            "batch_size": 2,
            "gradient_accumulation_steps": 1,
        }
    )
    job.spec_path.write_text(spec.model_dump_json())
    outcome = Pipeline(job).run()
    said = outcome.model_dump() if outcome else {"result": "stopped"}
    print(f"job: {said['result']}" + (f", {said['error']}" if said.get("error") else ""))
    return job


def tell(job: JobDirectory) -> None:
    """Seconds and memory of each stage, tokens a second, and what was predicted."""
    speeds = [
        event.fields["tokens_per_second"]
        for event in job.events()[0]
        if event.type == "progress" and event.fields.get("tokens_per_second")
    ]
    if speeds:
        print(f"training: {speeds[-1]:.0f} tokens/s")
    parts = read_parts(job) or {}
    real = parts.get("real", {}).get("figures", {})
    said = parts.get("counted", {}).get("figures", {})
    print("| figure | predicted | real | ratio |\n|---|---|---|---|")
    for name, value in sorted(real.items()):
        unit = GIB if name.startswith(("ram", "vram", "disk")) else 1
        if said.get(name):
            ratio = said[name] / value
            print(f"| {name} | {said[name] / unit:.2f} | {value / unit:.2f} | {ratio:.2f} |")
    print(f"probe: {parts.get('probed', {})}")


def ask(file: Path) -> None:
    """One answer of the file, through llama.cpp's server."""
    from finetune.checks.engine import Engine

    began = time.perf_counter()
    engine = Engine(file, 1024)
    loaded = time.perf_counter()
    reply = engine.chat([{"role": "user", "content": "What does the red fox see?"}], 64)
    answered = time.perf_counter()
    seconds = f"loaded in {loaded - began:.2f} s, answered in {answered - loaded:.2f} s"
    print(f"served: {seconds}, ended by {reply.finish_reason} after at most 64 tokens")


def main() -> None:
    """Everything in turn; what fails is said, and the rest goes on."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="where there is room")
    parser.add_argument("--tiny", action="store_true", help="the size of the demo model")
    parser.add_argument("--ask", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        ask(options.ask)
        return
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        about = torch.cuda.get_device_properties(0)
        print(f"GPU: {about.name}, {about.total_memory / GIB:.0f} GiB")
    else:
        print("no GPU: torch finds none; what follows says nothing about one")
        if not options.tiny:
            sys.exit("7 B parameters need a GPU here. Use --tiny to see that the script runs.")
    size = "tiny" if options.tiny else "7b"
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        base = folder / "base"
        began = time.perf_counter()
        make_base(size, base)
        print(f"made in {time.perf_counter() - began:.0f} s", flush=True)
        job = run_job(size, base, folder)
        tell(job)
        sys.stdout.flush()
        # in a process of its own: the engine's threads and those of what trains do not share one
        subprocess.run([sys.executable, __file__, "--ask", str(job.gguf_path)], check=False)
        shutil.rmtree(job.path)
        count, words = ROWS[size]
        sizes = ["--rows", str(count), "--words", str(words), "--pairs", "2" if has_gpu else "1"]
        command = [sys.executable, str(Path(__file__).with_name("bench_finetune.py"))]
        subprocess.run([*command, "--base", str(base), "--bits", "4", *sizes], check=False)
    print("the check has run to its end" + ("" if has_gpu else ", without a GPU"))


if __name__ == "__main__":
    main()
