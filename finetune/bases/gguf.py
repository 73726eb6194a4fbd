"""Makes the GGUF file of a base model, and knows how much room that takes.

python -m finetune.bases.gguf FOLDER OUT TYPE NAME
"""

import os
import signal
import sys
from pathlib import Path
from typing import cast

from finetune.job import child_process
from finetune.job.parameters.exporting import Quantization
from finetune.job.stage import EXIT_FAILED, StageFailed
from finetune.preflight.formula import BITS_OF_TYPE

CONVERTED: dict[Quantization, str] = {"F16": "f16", "Q8_0": "q8_0"}
"""Types the converter writes itself; the others are made of F16."""


def room_needed(weights: int, quantization: Quantization | None) -> int:
    """Bytes a GGUF may take at once: the F16 file between, and the GGUF twice, because the service copies it
    before it removes it. Weights are taken for 16-bit ones.
    """
    if quantization is None:
        return 0
    final = int(weights * BITS_OF_TYPE[quantization] / 16)
    between = 0 if quantization in CONVERTED else weights
    return max(between + final, 2 * final)


def make_gguf(folder: Path, out: Path, quantization: Quantization, name: str) -> None:
    """Write `out` whole or not at all, in a process whose chatter is only heard when it fails. Raises
    `StageFailed`.
    """
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    ended = child_process.run(
        [sys.executable, "-m", "finetune.bases.gguf", str(folder), str(out), quantization, name],
        env=child_process.environment() | {"PYTHONPATH": os.pathsep.join(paths)},
        ending=signal.SIGTERM,
    )
    if ended.returncode:
        raise StageFailed(
            "No GGUF made", _why(ended.returncode, ended.stderr.decode(errors="replace"))
        )


def _why(code: int, chatter: str) -> str:
    if code == -signal.SIGKILL:
        return (
            "The process was killed, most likely because memory ran out. Stop other programs, then run the "
            "same command again."
        )
    lines = chatter.strip().splitlines() or ["It said nothing."]
    if code < 0:
        return f"The process was ended by signal {-code}. {lines[-1]}"
    logged = [line.rpartition(":")[2] for line in lines if line.startswith("ERROR:")]
    return " ".join([lines[-1], *logged[-1:]])


def main(folder: Path, out: Path, quantization: Quantization, name: str) -> None:
    """Convert, quantize what the converter cannot, and hold the file against the model. Raises `StageFailed`."""
    from finetune.bases.alike import Spoken, read_alike
    from finetune.stages.convert import to_gguf
    from finetune.stages.quantize import check_types, quantize_file
    from finetune.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(folder)
    converted = out.with_name(f".{out.name}.converted")
    try:
        to_gguf(folder, converted, CONVERTED.get(quantization, "f16"), name)
        answers = read_alike(tokenizer, folder, converted)
        spoken = Spoken(tokenizer, folder, answers)
        if quantization == "Q8_0":
            spoken.require_near(converted, quantization)
        else:
            spoken.require_exact(converted)
        if quantization in CONVERTED:
            converted.replace(out)
        else:
            quantize_file(converted, out, quantization)
            spoken.require_near(out, quantization)
        check_types(out, quantization)
    finally:
        converted.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), cast(Quantization, sys.argv[3]), sys.argv[4])
    except (StageFailed, OSError) as error:
        sys.stderr.write(f"\n{error}\n")
        sys.exit(EXIT_FAILED)
