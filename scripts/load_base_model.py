"""Load a base model: from the Hugging Face hub, from a folder, or a GGUF file. Run it again after any failure.

    python scripts/load_base_model.py mistralai/Mistral-7B-v0.1
    python scripts/load_base_model.py ORGANISATION/MODEL:FILE.gguf --name small
    python scripts/load_base_model.py ORGANISATION/MODEL:FILE.gguf --mmproj PROJECTOR.gguf
    python scripts/load_base_model.py --from-dir /media/usb/Mistral-7B-v0.1
    python scripts/load_base_model.py --gguf model.gguf --name small

A token for gated models is read from HF_TOKEN, another hub's address from HF_ENDPOINT. docs/base-models.md
"""

import argparse
import errno
import os
import signal
import sys
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from finetune.bases.load import DEFAULT_MODEL, Wanted, load
from finetune.job.parameters.exporting import Quantization
from finetune.job.stage import StageFailed

DATA_DIR = "LLM_FASTAPI_DATA_DIR"
TYPES = {kind.lower(): kind for kind in get_args(Quantization)}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "model",
        nargs="?",
        metavar="ORGANISATION/MODEL[:FILE.gguf]",
        help=f"a model of the hub ({DEFAULT_MODEL} when nothing is named)",
    )
    parser.add_argument("--from-dir", type=Path, metavar="DIR", help="a Hugging Face folder here")
    parser.add_argument("--gguf", type=Path, metavar="FILE", help="a GGUF file here")
    parser.add_argument(
        "--mmproj",
        metavar="[ORGANISATION/MODEL:]FILE.gguf",
        help="a projector, with which the model sees: of the model's repository, of another, or beside --gguf or "
        "--from-dir a file here",
    )
    parser.add_argument("--name", help="its name in the service (the model's own)")
    parser.add_argument("--revision", help="branch, tag or commit on the hub (main)")
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="the service's data folder (LLM_FASTAPI_DATA_DIR, in the environment or .env, else data)",
    )
    parser.add_argument(
        "--type",
        type=str.lower,
        choices=TYPES,
        default="q4_k_m",
        help="type of the GGUF that is made (q4_k_m)",
    )
    parser.add_argument(
        "--no-trial", action="store_true", help="leave trying the model to its first fine-tune"
    )
    parser.add_argument("--no-gguf", action="store_true", help="for fine-tuning only")
    options = parser.parse_args()
    if sum(one is not None for one in (options.model, options.from_dir, options.gguf)) > 1:
        parser.error("name one: ORGANISATION/MODEL, --from-dir or --gguf")
    if options.mmproj and options.no_gguf:
        parser.error("--mmproj is for the GGUF that chats, and --no-gguf makes none")
    options.data_dir = options.data_dir or service_folder()
    return options


def service_folder() -> Path:
    """The data folder that a service which starts here takes; `StageFailed` when `.env` cannot be read."""
    folder = os.environ.get(DATA_DIR, "").strip() or _in_file(Path(".env")).strip()
    return Path(folder or "data").expanduser()


def _in_file(file: Path) -> str:
    if not file.is_file():
        return ""
    try:
        from dotenv import dotenv_values
    except ModuleNotFoundError:  # only the service requires it
        return ""
    try:
        return dotenv_values(file).get(DATA_DIR) or ""
    except (UnicodeDecodeError, OSError) as error:
        raise StageFailed(
            "No data folder", f".env cannot be read ({error}); say --data-dir."
        ) from None


def say(line: str) -> None:
    """A line at once, also into a container's log."""
    print(line, flush=True)


def main() -> int:
    """Load; failures are one line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        options = arguments()
        wanted = Wanted(
            options.data_dir,
            options.model or DEFAULT_MODEL,
            options.from_dir,
            options.gguf,
            options.name,
            options.revision,
            None if options.no_gguf else TYPES[options.type],
            not options.no_trial,
            options.mmproj,
        )
        load(wanted, say)
    except StageFailed as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        full = "The disk is full: free some space. " if error.errno == errno.ENOSPC else ""
        print(f"{full}{error}. Run the same command again; what came is kept.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. Run the same command again to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
