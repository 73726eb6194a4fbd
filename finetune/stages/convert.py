"""Stage `convert`: a Hugging Face folder becomes a GGUF file, by llama.cpp's own converter and its own gguf-py.

Also by hand:

    python -m finetune.stages.convert --model DIR --out FILE --type f16|q8_0
"""

import argparse
import contextlib
import importlib.util
import logging
import os
import runpy
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from finetune import gguf_file
from finetune.bases import folder as model_folder
from finetune.job import stage
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.files import sync_file, sync_folder
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed
from finetune.preflight.base import read_base
from finetune.preflight.room import require_disk

if TYPE_CHECKING:
    from finetune.export.merged import Merged


def _converter() -> Path:
    """The converter's script, ready to run. Raises `StageFailed`."""
    if importlib.util.find_spec("torch") is None:
        raise StageFailed(
            "Converter missing",
            'torch is not installed: run `pip install "llm-fastapi[finetune]"`.',
        )
    return gguf_file.llama_cpp_folder() / "convert_hf_to_gguf.py"


@contextlib.contextmanager
def _told(model: Path, folder: Path) -> Iterator[None]:
    """The model as the converter is to see it: its weights, and its tokenizer as training reads it."""
    from finetune.bases import tokenizer_files
    from finetune.bases.vocabulary import told
    from finetune.tokenizer import load_tokenizer, marks_of

    if not model_folder.speaks(model):  # an encoder has no prompts and no end
        for file in model.iterdir():
            (folder / file.name).symlink_to(file.resolve())
        yield
        return
    tokenizer = load_tokenizer(model)
    tokenizer_files.lay_out(model, tokenizer, folder)
    for file in (*model.glob("model*.safetensors*"), *model.glob("README.md")):
        (folder / file.name).symlink_to(file.resolve())
    with told(tokenizer, marks_of(tokenizer, model)):
        yield


BREAKS_BY = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What the converter ends by in the middle of a model that it does not know."""


def to_gguf(
    model: Path,
    out: Path,
    file_type: str,
    name: str | None = None,
    trained: "Merged | None" = None,
) -> None:
    """Write `out` whole or not at all, of the folder's weights or of those given. Raises `StageFailed`."""
    if trained is None:
        model_folder.require_whole(model)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    script = _converter()
    before = sys.argv
    errors: list[str] = []
    out.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    laid_out = place / model.name  # the converter reads a name and a version out of it
    arguments = [str(laid_out), "--outfile", str(temporary), "--outtype", file_type]
    if name:
        arguments.append(f"--model-name={name}")
    try:
        laid_out.mkdir()
        with _told(model, laid_out), _fed(trained), _errors_heard() as errors:
            sys.argv = [script.name, *arguments]
            runpy.run_path(str(script), run_name="__main__")
        sync_file(temporary)
        temporary.replace(out)
        sync_folder(out.parent)
    except SystemExit as error:
        raise _refused(f"{errors[-1] if errors else error.code}.") from error
    except BREAKS_BY as error:
        raise _refused(f"{type(error).__name__}: {error}") from error
    finally:
        sys.argv = before
        shutil.rmtree(place, ignore_errors=True)
        temporary.unlink(missing_ok=True)


def _refused(why: str) -> StageFailed:
    return StageFailed(
        "Conversion failed", f"llama.cpp's converter does not take this model: {why}"
    )


@contextlib.contextmanager
def _errors_heard() -> Iterator[list[str]]:
    """What the converter logs as errors before it gives up with a bare exit code."""
    errors: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            errors.append(record.getMessage().rstrip("."))

    ear, logger = Ear(logging.ERROR), logging.getLogger("hf-to-gguf")
    logger.addHandler(ear)
    try:
        yield errors
    finally:
        logger.removeHandler(ear)


def _fed(trained: "Merged | None") -> contextlib.AbstractContextManager[None]:
    if trained is None:
        return contextlib.nullcontext()
    from finetune.export.feeding import fed

    return fed(trained.weights)


def convert(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    """train/ and the base -> convert/model-f16.gguf, merged tensor by tensor on the way."""
    from finetune.export.trained import trained, write_small_files

    base = stage.base_folder(job, spec)
    folder.clear()
    require_disk(job.path, 2 * read_base(base).parameters)
    made = trained(job, spec)
    out = folder.path / "model-f16.gguf"
    with tempfile.TemporaryDirectory(prefix=".model.", dir=folder.path) as place:
        small = Path(place) / "model"
        small.mkdir()
        write_small_files(job, spec, made.config, small)
        to_gguf(small, out, "f16", spec.model_name, made)
    folder.mark_done([out], hashed=False)


def _by_hand(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m finetune.stages.convert", description=__doc__)
    parser.add_argument("--model", required=True, type=Path, help="Hugging Face folder")
    parser.add_argument("--out", required=True, type=Path, help="GGUF file to write")
    parser.add_argument("--type", default="f16", choices=["f16", "q8_0"], help="type of weights")
    parser.add_argument("--name", help="name recorded in the file")
    options = parser.parse_args(arguments)
    try:
        to_gguf(options.model.resolve(), options.out.resolve(), options.type, options.name)
    except (StageFailed, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return stage.EXIT_FAILED
    return 0


def main(arguments: list[str]) -> int:
    """A stage of a job, or by hand when the first argument is an option."""
    logging.captureWarnings(True)
    if arguments and arguments[0].startswith("-"):
        return _by_hand(arguments)
    return stage.main("convert", convert, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
