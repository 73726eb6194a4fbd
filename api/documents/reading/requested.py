"""One request for one document, in a child of its own: the limits first, then the reader.

The request is a `Request` as JSON on the standard input. The answer is JSON on the standard output: what was read, or a
reason and a detail. A parser that breaks a limit ends the child; whoever asked reads the reason from the way it
ended.
"""

import json
import resource
import sys
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

from api.documents.reading.language import language_of
from api.documents.reading.ocr import Recogniser
from api.documents.reading.values import Text, Unusable
from finetune.job.launch import limit

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


@dataclass(frozen=True, slots=True)
class Request:
    """Which file is read, how much it may hold, and within which `limits` (as `child_process.Limits` writes them).

    `password`, `recogniser` and `heads_in_rows` are for PDFs.
    """

    file: str
    kind: str
    pages: int
    characters: int
    limits: list[str]
    password: str = ""
    recogniser: dict[str, Any] | None = None
    heads_in_rows: bool = False

    def as_json(self) -> bytes:
        """As it is sent."""
        return json.dumps(asdict(self)).encode()


def answer() -> None:
    """Read the file that is asked for."""
    asked = Request(**json.loads(sys.stdin.buffer.read()))
    limit(asked.limits)
    found: Any
    try:
        found = _read(asked)
    except Unusable as error:
        found = {"reason": error.args[0], "detail": error.args[1]}
    except MemoryError:
        found = {"reason": "too_much_memory", "detail": ""}
    sys.stdout.buffer.write(json.dumps(found, ensure_ascii=False, default=vars).encode())
    sys.stdout.buffer.flush()


def _read(asked: Request) -> Text:
    reader = import_module(f"api.documents.reading.{READERS[asked.kind]}")
    bounds = (asked.file, asked.pages, asked.characters)
    if asked.kind == "pdf":
        recogniser = Recogniser(**asked.recogniser) if asked.recogniser else None
        text: Text = reader.read(
            *bounds, asked.password, recogniser=recogniser, heads_in_rows=asked.heads_in_rows
        )
    else:  # how much there is to do is not known before it is done
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))
        text = reader.read(*bounds)
    text.language = text.language or language_of(page.text for page in text.pages)
    return text
