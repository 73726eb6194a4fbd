"""Our train stage beside a plain TRL script: the same model, rows and settings, five alternating pairs in one run.

    python scripts/bench_finetune.py [--base DIR] [--bits 4|8|16] [--rows N] [--words N] [--batch-size N] [--pairs N]

Prints, for each side, tokens a second of `Trainer.train` and the peak memory of the process, and of their ratios
(ours / plain) the median and the range over the pairs. Without a GPU the seconds are the processor's, on one thread:
a shared machine's wall time tells of its other work. Aim: tokens a second at least .98, memory at most 1.02.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DEMO = Path(__file__).parent.parent / "examples" / "demo_model"
WORDS = "the red fox sees nine owls "


def rows(count: int, words: int) -> list[dict[str, Any]]:
    """Conversations of one question and one answer."""
    return [
        {
            "messages": [
                {"role": "user", "content": f"number {number} {WORDS}"},
                {"role": "assistant", "content": f"{number} " + WORDS * (words // 6)},
            ]
        }
        for number in range(count)
    ]


def clocked() -> list[dict[str, float]]:
    """Have `Trainer.train` say how long it took and how many tokens it saw."""
    import torch
    from transformers import Trainer

    on_gpu = torch.cuda.is_available()
    clock = time.perf_counter if on_gpu else time.process_time
    train: Any = Trainer.train
    said: list[dict[str, float]] = []

    def timed(self: Any, *arguments: Any, **named: Any) -> Any:
        began = clock()
        result = train(self, *arguments, **named)
        if on_gpu:
            torch.cuda.synchronize()
        seconds = clock() - began
        tokens = next(
            e["num_tokens"] for e in reversed(self.state.log_history) if "num_tokens" in e
        )
        said.append({"tokens": tokens, "seconds": seconds, "loss": result.training_loss})
        return result

    Trainer.train = timed  # type: ignore[method-assign]
    return said


def peak_bytes() -> int:
    """The most memory of this process: on the GPU where there is one."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_reserved())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def ours(job: str) -> None:
    """The train stage of a job whose dataset is done."""
    said = clocked()
    from finetune.stages.train import main as train

    if train([job]):
        sys.exit("the train stage failed")
    print(json.dumps({**said[-1], "memory": peak_bytes()}))


def plain(job: str) -> None:
    """What a script of a page does that knows TRL: no progress, no events, no checks."""
    said = clocked()
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
    from trl import SFTConfig, SFTTrainer

    spec = json.loads((Path(job) / "spec.json").read_text())
    plan = json.loads((Path(job) / "plan.json").read_text())
    base = str((Path(job) / spec["base_model_folder"]).resolve())
    lines = (Path(job) / "dataset" / "train.jsonl").read_text().splitlines()
    turns = [json.loads(line)["messages"] for line in lines]
    on_gpu = torch.cuda.is_available()
    half = torch.bfloat16 if on_gpu and torch.cuda.is_bf16_supported() else torch.float16
    dtype = half if on_gpu else torch.float32
    make: Any = BitsAndBytesConfig
    nf4 = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    quantization = {
        4: lambda: make(load_in_4bit=True, bnb_4bit_compute_dtype=dtype, **nf4),
        8: lambda: make(load_in_8bit=True),
        16: lambda: None,
    }[spec["bits"]]()
    model: Any = AutoModelForCausalLM.from_pretrained(
        base,
        dtype=dtype,
        device_map={"": 0} if on_gpu else "cpu",
        quantization_config=quantization,
    )
    trainer: Any = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(Path(job) / "plain"),
            per_device_train_batch_size=spec["batch_size"],
            gradient_accumulation_steps=plan["gradient_accumulation_steps"],
            num_train_epochs=spec["epochs"],
            learning_rate=spec["learning_rate"],
            lr_scheduler_type="cosine",
            warmup_steps=plan["warmup_steps"],
            gradient_checkpointing=spec["gradient_checkpointing"],
            max_length=spec["max_length"],
            seed=spec["seed"],
            data_seed=spec["seed"],
            bf16=dtype is torch.bfloat16,
            fp16=dtype is torch.float16,
            use_cpu=not on_gpu,
            dataloader_pin_memory=on_gpu,
            logging_steps=1,
            save_steps=plan["checkpoint_steps"],
            save_total_limit=2,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(
            [{"prompt": each[:-1], "completion": each[-1:]} for each in turns]
        ),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=LoraConfig(
            r=spec["rank"],
            lora_alpha=spec["lora_alpha"],
            lora_dropout=spec["lora_dropout"],
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )
    trainer.train()
    print(json.dumps({**said[-1], "memory": peak_bytes()}))


def new_job(folder: Path, options: argparse.Namespace) -> Path:
    """A job whose dataset stage has been run."""
    from finetune.job.directory import JobDirectory
    from finetune.job.spec import FineTuneSpec
    from finetune.training.schedule import schedule

    job = JobDirectory(folder / "job")
    job.inputs.mkdir(parents=True)
    lines = (json.dumps(row) + "\n" for row in rows(options.rows, options.words))
    job.input_path("train", "jsonl").write_text("".join(lines))
    spec = FineTuneSpec.model_validate(
        {
            "model_name": "bench",
            "base_model": "base",
            "base_model_folder": os.path.relpath(options.base.resolve(), job.path),
            "bits": options.bits,
            "batch_size": options.batch_size,
            "checkpoint_steps": 100_000,
        }
    )
    job.spec_path.write_text(spec.model_dump_json())
    subprocess.run([sys.executable, "-m", "finetune.stages.dataset", str(job.path)], check=True)
    (job.path / "dataset" / "eval.jsonl").write_text("")  # judging is no part of plain TRL's script
    done = job.path / "dataset" / "done.json"
    facts = json.loads(done.read_text())
    done.write_text(json.dumps({**facts, "files": {}, "eval_rows": 0}))
    plan = schedule(spec, facts["rows"])
    fields = ("gradient_accumulation_steps", "warmup_steps", "checkpoint_steps")
    (job.path / "plan.json").write_text(json.dumps({name: getattr(plan, name) for name in fields}))
    return job.path


def measure(side: str, job: Path) -> dict[str, float]:
    """One run in a process of its own, over a copy of the job."""
    with tempfile.TemporaryDirectory(dir=job.parent) as folder:
        copy = Path(folder) / job.name
        shutil.copytree(job, copy)
        spec = json.loads((copy / "spec.json").read_text())
        target = (job / spec["base_model_folder"]).resolve()
        spec["base_model_folder"] = os.path.relpath(target, copy)
        (copy / "spec.json").write_text(json.dumps(spec))
        command = [sys.executable, __file__, "--side", side, str(copy)]
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode:
            sys.exit(ran.stderr[-3000:])
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def compare(options: argparse.Namespace) -> None:
    """Five pairs, each side first in turn."""
    found: dict[str, list[dict[str, float]]] = {"ours": [], "plain": []}
    with tempfile.TemporaryDirectory() as folder:
        job = new_job(Path(folder), options)
        for number in range(options.pairs):
            for side in ("ours", "plain") if number % 2 == 0 else ("plain", "ours"):
                found[side].append(measure(side, job))
            pair = {side: each[-1] for side, each in found.items()}
            told = (
                f"{side} {one['tokens'] / one['seconds']:.0f} tokens/s, "
                f"{one['memory'] / 2**20:.0f} MiB, loss {one['loss']:.4f}"
                for side, one in pair.items()
            )
            print(f"pair {number + 1}: {'; '.join(told)}", flush=True)
    pairs = list(zip(found["ours"], found["plain"], strict=True))
    speeds = [(a["tokens"] / a["seconds"]) / (b["tokens"] / b["seconds"]) for a, b in pairs]
    memories = [a["memory"] / b["memory"] for a, b in pairs]
    for name, ratios in (("tokens a second", speeds), ("memory", memories)):
        low, high = min(ratios), max(ratios)
        print(f"{name}: x{statistics.median(ratios):.3f} of plain TRL ({low:.3f} to {high:.3f})")


def main() -> None:
    """Compare, or be one side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, default=DEMO)
    parser.add_argument("--bits", type=int, default=16, choices=[4, 8, 16])
    parser.add_argument("--rows", type=int, default=120)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--side", nargs=2, metavar=("SIDE", "JOB"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        {"ours": ours, "plain": plain}[options.side[0]](options.side[1])
    else:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        compare(options)


if __name__ == "__main__":
    main()
