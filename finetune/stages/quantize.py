"""Stage `quantize`: the F16 GGUF becomes the type that is published, and is looked at tensor by tensor."""

import os
import shutil
import sys
from collections import Counter
from pathlib import Path

from finetune import gguf_file
from finetune.job import child_process, stage
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.parameters.exporting import Quantization
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed
from finetune.training import preflight

# llama.cpp's numbers of file types (enum llama_ftype) and the tensor type each is made of.
FILE_TYPES: dict[Quantization, tuple[int, str]] = {
    "F16": (1, "F16"),
    "Q8_0": (7, "Q8_0"),
    "Q3_K_M": (12, "Q3_K"),
    "Q4_K_S": (14, "Q4_K"),
    "Q4_K_M": (15, "Q4_K"),
    "Q5_K_M": (17, "Q5_K"),
    "Q6_K": (18, "Q6_K"),
}


def _threads() -> int:
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() and int(asked) > 0 else os.cpu_count() or 1


def _by_program(program: str, source: Path, target: Path, quantization: Quantization) -> None:
    command = [program, str(source), str(target), quantization, str(_threads())]
    done = child_process.run(command, env=child_process.environment())
    said = done.stderr.decode(errors="replace")
    sys.stderr.write(said)
    if done.returncode:
        lines = said.strip().splitlines()
        raise StageFailed("Quantizing failed", lines[-1] if lines else f"exit {done.returncode}")


def _by_library(source: Path, target: Path, quantization: Quantization) -> None:
    from cyllama.llama import llama_cpp

    parameters = llama_cpp.LlamaModelQuantizeParams()
    parameters.ftype = FILE_TYPES[quantization][0]
    parameters.nthread = _threads()
    try:
        llama_cpp.model_quantize(str(source), str(target), parameters)
    except RuntimeError as error:
        raise StageFailed("Quantizing failed", f"llama.cpp: {error}.") from error


def quantize_file(source: Path, target: Path, quantization: Quantization) -> None:
    """Write `target` whole or not at all. Raises `StageFailed`."""
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.unlink(missing_ok=True)
    if quantization == "F16":
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
    elif program := shutil.which("llama-quantize"):
        _by_program(program, source, temporary, quantization)
    else:
        _by_library(source, temporary, quantization)
    temporary.replace(target)


def check_types(path: Path, quantization: Quantization) -> tuple[Counter[str], list[str]]:
    """How many tensors of each type there are, and those that could not take a K type. Raises `StageFailed`."""
    number, wanted = FILE_TYPES[quantization]
    file = gguf_file.read(path)
    if file.file_type != number:
        raise StageFailed(
            "Wrong type of file", f"{path.name} says file type {file.file_type}, not {number}."
        )
    counts = Counter(tensor.type for tensor in file.tensors)
    matrices = [tensor for tensor in file.tensors if len(tensor.shape) > 1]
    fallen_back = [t.name for t in matrices if wanted.endswith("_K") and t.shape[0] % 256]
    if not counts[wanted] and len(fallen_back) < len(matrices):
        raise StageFailed("Wrong type of file", f"{path.name} holds no {wanted}: {dict(counts)}.")
    return counts, fallen_back


def quantize(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    """convert/model-f16.gguf -> quantize/model.gguf."""
    source = stage.needs(job, "convert", "model-f16.gguf") / "model-f16.gguf"
    preflight.require_disk(job.path, source.stat().st_size)
    quantize_file(source, job.gguf_path, spec.quantization)
    counts, fallen_back = check_types(job.gguf_path, spec.quantization)
    if fallen_back:
        job.append_event(
            "quantize",
            "warning",
            kind="fallback",
            count=len(fallen_back),
            detail=f"{len(fallen_back)} tensors have rows that 256 does not divide; llama.cpp gave them "
            f"another type than {spec.quantization}. First: {fallen_back[0]}.",
        )
    folder.mark_done([job.gguf_path], types=dict(counts))


if __name__ == "__main__":
    sys.exit(stage.main("quantize", quantize))
