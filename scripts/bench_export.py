"""What a GGUF of base and adapter costs before it is quantized: ours, PEFT's merge, and the original service's order.

    .venv/bin/python scripts/bench_export.py [--layers 20] [--rounds 3] [--folder /tmp]

A base of about a billion random parameters and an adapter on all its linear layers are made in a folder that is removed
afterwards. The three ways take turns; each is a program of its own, whose seconds, peak memory and bytes written are
what the kernel counted. `--layers 66` makes three billion.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_servers import processor

ROOT = Path(__file__).parent.parent
TOKENIZER = ROOT / "examples" / "demo_model"
HIDDEN, WIDE, HEADS, KEPT_HEADS, VOCABULARY = 2048, 5632, 32, 8, 32000
RANK = 16
BLOCK_BYTES = 512


@dataclass(frozen=True)
class Cost:
    """Of one way, or of several programs one after the other."""

    seconds: float
    cpu: float
    peak: int
    written: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.seconds + other.seconds,
            self.cpu + other.cpu,
            max(self.peak, other.peak),
            self.written + other.written,
        )


def main() -> None:
    """Make base and adapter, let the ways take turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--only-ours", action="store_true", help="for the memory of larger bases")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        sys.exit(STEPS[options.step[0]](*map(Path, options.step[1:])))
    with tempfile.TemporaryDirectory(prefix="bench-export-", dir=options.folder) as temporary:
        folder = Path(temporary)
        step("make", folder, Path(str(options.layers)))
        parameters = (folder / "base" / "model.safetensors").stat().st_size // 2
        ways = {"ours": ours} if options.only_ours else WAYS
        costs: dict[str, list[Cost]] = {name: [] for name in ways}
        for number in range(options.rounds):
            for name, way in ways.items():
                costs[name].append(way(folder / name))
                print(f"round {number + 1}, {name}: {costs[name][-1].seconds:.1f} s", flush=True)
            if number == 0 and not options.only_ours:
                step("compare", *(folder / name / "model-f16.gguf" for name in ways))
            for name in ways:
                shutil.rmtree(folder / name)
        report(parameters, options.rounds, costs)


def report(parameters: int, rounds: int, costs: dict[str, list[Cost]]) -> None:
    """The table, medians and the ratio of ours to each."""
    print(f"{processor()}; {parameters / 1e9:.2f} B parameters, medians of {rounds} rounds in turn")
    figures = "".join(f"{name:>9} {'ours':>6}" for name in ("seconds", "CPU s", "peak", "written"))
    print(f"{'':38}{figures}")
    mine = middle(costs["ours"])
    for name, found in costs.items():
        cost = middle(found)
        print(
            f"{NAMES[name]:38}{cost.seconds:9.1f} {mine.seconds / cost.seconds:6.2f}"
            f"{cost.cpu:9.1f} {mine.cpu / cost.cpu:6.2f}"
            f"{cost.peak / 2**20:5.0f} MiB {mine.peak / cost.peak:6.2f}"
            f"{cost.written / 2**20:5.0f} MiB {mine.written / cost.written:6.2f}"
        )


def middle(costs: list[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(
        statistics.median(cost.seconds for cost in costs),
        statistics.median(cost.cpu for cost in costs),
        int(statistics.median(cost.peak for cost in costs)),
        int(statistics.median(cost.written for cost in costs)),
    )


def ours(folder: Path) -> Cost:
    """The stage of a job: merged tensor by tensor on the way into the GGUF."""
    base, adapter = folder.parent / "base", folder.parent / "adapter"
    train = folder / "job" / "train"
    train.mkdir(parents=True)
    (train / "adapter").symlink_to(adapter)
    (train / "done.json").write_text('{"files": {}}')
    spec = {"model_name": "bench", "base_model": "bench", "base_model_folder": str(base)}
    (folder / "job" / "spec.json").write_text(json.dumps(spec))
    cost = run("-m", "finetune.stages.convert", folder / "job")
    (folder / "job" / "convert" / "model-f16.gguf").rename(folder / "model-f16.gguf")
    return cost


def by_peft(folder: Path) -> Cost:
    """PEFT merges the whole model and saves it, which is then converted."""
    base, adapter = folder.parent / "base", folder.parent / "adapter"
    folder.mkdir()
    merged = folder / "merged"
    return step("merge", base, adapter, merged) + converted(merged, folder / "model-f16.gguf")


def by_the_original(folder: Path) -> Cost:
    """The base is converted, the adapter is converted, and a third program writes both as one file."""
    base, adapter = folder.parent / "base", folder.parent / "adapter"
    folder.mkdir()
    f16, lora = folder / "base-f16.gguf", folder / "lora.gguf"
    return (
        converted(base, f16)
        + step("convert-lora", base, adapter, lora)
        + step("export-lora", f16, lora, folder / "model-f16.gguf")
    )


WAYS: dict[str, Callable[[Path], Cost]] = {
    "ours": ours,
    "peft": by_peft,
    "original": by_the_original,
}
NAMES = {
    "ours": "merged on the way into the GGUF",
    "peft": "PEFT merge, saved, converted",
    "original": "base and adapter converted, export-lora",
}


def converted(model: Path, out: Path) -> Cost:
    """A folder as a GGUF, by the same converter."""
    return run("-m", "finetune.stages.convert", "--model", model, "--out", out, "--type", "f16")


def step(*arguments: object) -> Cost:
    """A step of this file in a program of its own."""
    return run(Path(__file__), "--step", *arguments)


def run(*arguments: object) -> Cost:
    """A Python program from its start to its end."""
    began = time.monotonic()
    program = subprocess.Popen(
        [sys.executable, "-W", "ignore", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL if "compare" not in arguments else None,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stderr  # noqa: S101
    said = program.stderr.read()
    _, status, usage = os.wait4(program.pid, 0)
    if status:
        sys.exit(said[-3000:])
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(
        time.monotonic() - began, cpu, usage.ru_maxrss * 1024, usage.ru_oublock * BLOCK_BYTES
    )


# The steps


def make(folder: Path, layers: Path) -> None:
    """A base in Llama's form with random weights, and an adapter on its linear layers."""
    import torch
    from safetensors.torch import save_file
    from transformers import LlamaConfig

    from finetune.export.safetensors_folder import write
    from finetune.export.weights import Weight

    count = int(layers.name)
    base, adapter = folder / "base", folder / "adapter"
    base.mkdir()
    adapter.mkdir()
    for path in TOKENIZER.iterdir():
        if path.name.startswith(("tokenizer", "chat_template", "generation")):
            shutil.copyfile(path, base / path.name)
    config: Any = LlamaConfig(
        hidden_size=HIDDEN, intermediate_size=WIDE, num_hidden_layers=count, num_attention_heads=HEADS,
        num_key_value_heads=KEPT_HEADS, vocab_size=VOCABULARY, architectures=["LlamaForCausalLM"],
        bos_token_id=1, eos_token_id=3, dtype="float16",
    )  # fmt: skip
    config.save_pretrained(str(base))
    narrow = HIDDEN * KEPT_HEADS // HEADS
    linear = {
        **{f"self_attn.{name}_proj": (HIDDEN, HIDDEN) for name in "qo"},
        **{f"self_attn.{name}_proj": (narrow, HIDDEN) for name in "kv"},
        **{f"mlp.{name}_proj": (WIDE, HIDDEN) for name in ("gate", "up")},
        "mlp.down_proj": (HIDDEN, WIDE),
    }
    shapes: dict[str, tuple[int, ...]] = {}
    for number in range(count):
        layer = f"model.layers.{number}"
        shapes |= {f"{layer}.{name}.weight": shape for name, shape in linear.items()}
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{layer}.{norm}.weight"] = (HIDDEN,)
    shapes["model.norm.weight"] = (HIDDEN,)
    for name in ("model.embed_tokens", "lm_head"):
        shapes[f"{name}.weight"] = (VOCABULARY, HIDDEN)
    torch.manual_seed(1)

    def random(shape: tuple[int, ...]) -> torch.Tensor:
        return (torch.randn(shape) * 0.02).to(torch.float16)

    weights = [
        Weight(name, shape, torch.float16, lambda shape=shape: random(shape))
        for name, shape in shapes.items()
    ]
    write(base, weights, shard_bytes=2**62)
    pairs = {
        f"base_model.model.{name.removesuffix('.weight')}.lora_{part}.weight": torch.randn(size)
        * 0.02
        for name, shape in shapes.items()
        if "_proj" in name
        for part, size in (("A", (RANK, shape[1])), ("B", (shape[0], RANK)))
    }
    save_file(pairs, adapter / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": 2 * RANK}
    names = sorted({name.rpartition(".")[2] for name in linear})
    (adapter / "adapter_config.json").write_text(
        json.dumps({**settings, "target_modules": names, "base_model_name_or_path": str(base)})
    )


def merge(base: Path, adapter: Path, out: Path) -> None:
    """As PEFT's documentation does it."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float16)
    model = PeftModel.from_pretrained(model, str(adapter))
    model.merge_and_unload().save_pretrained(str(out))
    tokenizer: Any = AutoTokenizer.from_pretrained(str(base))
    tokenizer.save_pretrained(str(out))


def convert_lora(base: Path, adapter: Path, out: Path) -> None:
    """By llama.cpp's own script."""
    import runpy

    from finetune import gguf_file

    script = gguf_file.llama_cpp_folder() / "convert_lora_to_gguf.py"
    sys.argv = [
        script.name,
        "--base",
        str(base),
        "--outfile",
        str(out),
        "--outtype",
        "f32",
        str(adapter),
    ]
    runpy.run_path(str(script), run_name="__main__")


def export_lora(f16: Path, lora: Path, out: Path) -> None:
    """What llama.cpp's llama-export-lora does, tensor by tensor in numpy: base + scale * B A, written as F16."""
    import numpy as np

    from finetune import gguf_file

    gguf_file.llama_cpp_folder()
    from gguf import GGUFReader, GGUFValueType, GGUFWriter

    base, adapter = GGUFReader(f16), GGUFReader(lora)
    pairs = {one.name: one.data for one in adapter.tensors}
    alpha = float(adapter.fields["adapter.lora.alpha"].contents())
    writer: Any = GGUFWriter(out, "llama")
    for field in base.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=inner)
    for one in base.tensors:
        writer.add_tensor_info(one.name, one.data.shape, one.data.dtype, one.data.nbytes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for one in base.tensors:
        data = one.data
        if f"{one.name}.lora_a" in pairs:
            down, up = pairs[f"{one.name}.lora_a"], pairs[f"{one.name}.lora_b"]
            data = (data.astype(np.float32) + (alpha / len(down)) * (up @ down)).astype(np.float16)
        writer.write_tensor_data(data)
    writer.close()


def compare(*files: Path) -> None:
    """Print how far weights in the files of all ways are from the first's."""
    import numpy as np

    from finetune import gguf_file

    gguf_file.llama_cpp_folder()
    from gguf import GGUFReader

    first, *others = ({one.name: one.data for one in GGUFReader(file).tensors} for file in files)
    for file, other in zip(files[1:], others, strict=True):
        if set(first) != set(other):
            sys.exit(f"{file.parent.name} has other tensors")
        names = ("blk.0.attn_q.weight", "blk.0.ffn_down.weight", "token_embd.weight")
        apart = max(np.abs(first[name].astype(np.float32) - other[name]).max() for name in names)
        print(f"{file.parent.name}: weights at most {apart:.1e} apart", flush=True)


STEPS: dict[str, Callable[..., None]] = {
    "make": make,
    "merge": merge,
    "convert-lora": convert_lora,
    "export-lora": export_lora,
    "compare": compare,
}


if __name__ == "__main__":
    main()
