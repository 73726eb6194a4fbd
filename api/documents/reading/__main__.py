"""The process that reads one document, with limits, in an environment that holds nothing but where it lies.

    python -P -s -m api.documents.reading FILE KIND MAX_PAGES MAX_CHARACTERS [OPTIONS]

Its standard input is the password, empty for none. It writes one JSON object: what it read, or a reason and a detail. A
parser that breaks a limit ends this process; whoever started it reads the reason from the way it ended.
"""

import json
import os
import resource
import sys
from dataclasses import asdict
from importlib import import_module
from typing import Any

from api.documents.reading.language import language_of
from api.documents.reading.ocr import Recogniser
from api.documents.reading.values import Unusable

READERS = {
    "pdf": "pdf",
    "html": "html",
    "md": "markdown",
    "txt": "plain_text",
    "csv": "csv",
    "docx": "docx",
    "pptx": "pptx",
    "xlsx": "xlsx",
    "epub": "epub",
}
"""The file beside this one that reads each kind; the libraries of the others are not loaded."""


def main() -> None:
    """Read the file named on the command line."""
    file, kind, pages, characters = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    password = [sys.stdin.buffer.read().decode()] if kind == "pdf" else []
    answer: dict[str, Any]
    if kind != "pdf":  # how much there is to do is not known before it is done
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))
    try:
        reader = import_module(f"api.documents.reading.{READERS[kind]}")
        text = reader.read(file, pages, characters, *password, **_options())
        text.language = text.language or language_of(page.text for page in text.pages)
        answer = asdict(text)
    except Unusable as error:
        answer = {"reason": error.args[0], "detail": error.args[1]}
    except MemoryError:
        answer = {"reason": "too_much_memory", "detail": ""}
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode())
    sys.stdout.buffer.flush()
    os._exit(0)  # a parser's own clean-up after a hostile file is not worth the risk


def _options() -> dict[str, Any]:
    """What is asked of the reader of PDFs beside the text, as JSON."""
    options = json.loads(sys.argv[5]) if len(sys.argv) > 5 else {}
    if found := options.get("recogniser"):
        options["recogniser"] = Recogniser(**found)
    return dict(options)


if __name__ == "__main__":
    main()
