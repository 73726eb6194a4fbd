"""Stage `quantize`: the F16 GGUF becomes the types that were asked for, each looked at tensor by tensor."""

import os
import shutil
import sys
from collections import Counter
from pathlib import Path

from finetune import gguf_file
from finetune.job import programs, stage
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.files import link_or_copy
from finetune.job.parameters.exporting import Quantization
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed
from finetune.preflight.formula import BITS_OF_TYPE
from finetune.preflight.room import require_disk

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


def _by_program(
    program: str, source: Path, target: Path, quantization: Quantization, importance: Path | None
) -> None:
    weighed = ["--imatrix", str(importance)] if importance else []
    programs.run(program, [*weighed, str(source), str(target), quantization, str(_threads())])


def _by_library(source: Path, target: Path, quantization: Quantization) -> None:
    from cyllama.llama import llama_cpp

    parameters = llama_cpp.LlamaModelQuantizeParams()
    parameters.ftype = FILE_TYPES[quantization][0]
    parameters.nthread = _threads()
    try:
        llama_cpp.model_quantize(str(source), str(target), parameters)
    except RuntimeError as error:
        raise StageFailed("Quantizing failed", f"llama.cpp: {error}.") from error


def quantize_file(
    source: Path, target: Path, quantization: Quantization, importance: Path | None = None
) -> None:
    """Write `target` whole or not at all. Raises `StageFailed`."""
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        if quantization == "F16":
            link_or_copy(source, temporary)
        elif program := shutil.which("llama-quantize"):
            _by_program(program, source, temporary, quantization, importance)
        else:
            _by_library(source, temporary, quantization)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


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


def _importance(job: JobDirectory, spec: FineTuneSpec, source: Path, folder: Path) -> Path | None:
    """The importance matrix, when it is wished for and some type takes one."""
    if not spec.importance_matrix or not set(spec.quantization) - {"F16"}:
        return None
    from finetune.export import importance
    from finetune.tokenizer import load_tokenizer

    rows = stage.needs(job, "dataset", "train.jsonl") / "train.jsonl"
    out = folder / ".importance.gguf"
    tokenizer = load_tokenizer(stage.base_folder(job, spec), spec.chat_template)
    importance.measure(source, rows, tokenizer, out, _threads())
    return out


def quantize(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    """convert/model-f16.gguf -> quantize/model.gguf, and quantize/model-TYPE.gguf for each further type."""
    source = stage.needs(job, "convert", "model-f16.gguf") / "model-f16.gguf"
    folder.clear()
    size = source.stat().st_size
    require_disk(job.path, int(sum(size * BITS_OF_TYPE[one] / 16 for one in spec.quantization)))
    importance = _importance(job, spec, source, folder.path)
    files = job.ggufs(spec.quantization)
    made = {}
    for quantization in spec.quantization:
        path = files[quantization]
        quantize_file(source, path, quantization, importance)
        counts, fallen_back = check_types(path, quantization)
        made[quantization] = dict(counts)
        if fallen_back:
            job.append_event(
                "quantize",
                "warning",
                kind="fallback",
                count=len(fallen_back),
                detail=f"{len(fallen_back)} tensors have rows that 256 does not divide; llama.cpp gave them "
                f"another type than {quantization}. First: {fallen_back[0]}.",
            )
    if importance is not None:
        importance.unlink()
    folder.mark_done(list(files.values()), types=made[spec.quantization[0]], made=made)


if __name__ == "__main__":
    sys.exit(stage.main("quantize", quantize))
