"""What importing costs, in one run beside the recipe that a user would have instead, over the same weights.

    .venv/bin/python scripts/bench_import.py [--langchain PYTHON] [--rounds 3] [--pages 40] [FILE.pdf ...]

The recipe is PyPDFLoader, RecursiveCharacterTextSplitter and Chroma.from_documents. PYTHON is the interpreter of an
environment of its own, made for this comparison alone:

    python -m venv recipe && recipe/bin/pip install torch==2.13.0 sentence-transformers pypdf \\
        langchain-community langchain-text-splitters langchain-chroma langchain-huggingface

Without it the service is measured alone. Without files, a report of so many pages is made up. Every figure is of all
processes that take part, loaded and warm; the recipe embeds more tokens, because its chunks overlap.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import sqlite3
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import httpx2
from bench_servers import (
    EMBEDDER,
    converted,
    cpu_seconds_of_all,
    llama_child,
    processor,
    service,
)
from fpdf import FPDF

WORDS = 200
LINES_A_PAGE = 40
WORDS_A_LINE = 12
BATCH = 32


class Cost(NamedTuple):
    """Seconds of the clock, and of the processor."""

    wall: float
    cpu: float

    def __add__(self, other: tuple) -> "Cost":
        return Cost(self.wall + other[0], self.cpu + other[1])


class Meter:
    """What is spent between its making and `cost`, by a process and all below it."""

    def __init__(self, pid: int | None = None) -> None:
        self._pid = pid or os.getpid()
        self._cpu, self._wall = cpu_seconds_of_all(self._pid), time.monotonic()

    def cost(self) -> Cost:
        """So far."""
        cpu = cpu_seconds_of_all(self._pid) - self._cpu
        return Cost(time.monotonic() - self._wall, cpu)


def main() -> None:
    """Import the files as often as wanted, in turns with the recipe, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--langchain", type=Path, metavar="PYTHON")
    parser.add_argument("--pages", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = options.files or [made_up(folder / "report.pdf", options.pages)]
        measured = [
            {
                **ours(folder, files),
                **(theirs(options.langchain, files) if options.langchain else {}),
            }
            for _ in range(options.rounds)
        ]
    print_table(measured, len(files))


def print_table(measured: list[dict], files: int) -> None:
    """Medians over the rounds; a ratio above 1 says how much less the service takes."""

    def median(part: str) -> Cost:
        wall, cpu = zip(*(one[part] for one in measured), strict=True)
        return Cost(statistics.median(wall), statistics.median(cpu))

    last, whole, alone = measured[-1], median("import"), median("embedding")
    print(f"{processor()}; {files} files, {last['pages']} pages, medians of {len(measured)}")
    print(f"ours: {last['chunks']} chunks of {last['tokens']} tokens")
    print(f"{'':34} {'wall s':>8} {'CPU s':>8}")
    for title, part in (
        ("text and chunks", "reading"),
        ("embedding the chunks alone", "embedding"),
    ):
        print(f"{title:34} {median(part).wall:8.2f} {median(part).cpu:8.2f}")
    print(f"{'whole import':34} {whole.wall:8.2f} {whole.cpu:8.2f}")
    print(
        f"{'tokens a second, embedding alone':34} {last['tokens'] / alone.wall:8.0f} {last['tokens'] / alone.cpu:8.0f}"
    )
    if "their reading" in last:
        reading, theirs = (
            median("their reading"),
            median("their reading") + median("their embedding"),
        )
        print(f"LangChain's: {last['their chunks']} chunks of {last['their tokens']} tokens")
        print(f"{'text and chunks':34} {reading.wall:8.2f} {reading.cpu:8.2f}")
        print(f"{'whole import':34} {theirs.wall:8.2f} {theirs.cpu:8.2f}")
        for title, a, b in (
            ("text and chunks", reading, median("reading")),
            ("whole import", theirs, whole),
        ):
            print(f"{title + ': times faster':34} {a.wall / b.wall:8.1f} {a.cpu / b.cpu:8.1f}")


def ours(folder: Path, files: list[Path]) -> dict:
    """The service's import over HTTP; and by themselves its reading and cutting, and its embedding."""
    database = folder / "data" / "state.sqlite3"
    with service(folder / "data") as (client, pid):
        imported(client, made_up(folder / "warm.pdf", 1))
        client.delete("/deleteAll_Documents", params={"modelName": "demo"})
        meter = Meter(pid)
        pages = sum(imported(client, file) for file in files)
        whole = meter.cost()
        passages = texts(database)
        client.delete("/deleteAll_Documents", params={"modelName": "demo"})
    model = converted(EMBEDDER, "int8", folder / "encoder.onnx")
    return {
        "import": whole,
        "reading": asyncio.run(read(model, files)),
        "embedding": embedded(model, [text for text, _ in passages]),
        "pages": pages,
        "chunks": len(passages),
        "tokens": sum(tokens for _, tokens in passages),
    }


def theirs(python: Path, files: list[Path]) -> dict:
    """The recipe, in its own environment."""
    from finetune.bases.packaged import model_folder

    script = Path(__file__).with_name("bench_import_langchain.py")
    command = [python, script, model_folder(EMBEDDER), *files]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {f"their {name}": value for name, value in json.loads(said).items()}


async def read(model: Path, files: list[Path]) -> Cost:
    """Text and chunks of the files, as an import makes them."""
    from api.documents.extract import Bounds, extract, open_server
    from api.documents.split import pack, pieces
    from api.settings import Settings

    settings = Settings()
    bounds = Bounds(
        settings.max_pages,
        settings.max_document_characters,
        settings.extract_seconds,
        settings.extract_memory_bytes,
    )
    server = open_server()
    with llama_child(model, embeds=True) as child, tempfile.TemporaryDirectory() as folder:
        child.post("/tokenize", json={"content": ["warm"]})
        await extract(server, made_up(Path(folder) / "warm.pdf", 1), bounds)
        meter = Meter()
        for file in files:
            pages = (await extract(server, file, bounds)).pages
            cut = pieces(pages, settings.chunk_tokens)
            texts = [item for piece in cut for item in (piece.text, -1)]
            tokens = child.post("/tokenize", json={"content": texts}).json()["tokens"]
            ends = [-1, *(place for place, token in enumerate(tokens) if token == -1)]
            lengths = [end - begin - 1 for begin, end in itertools.pairwise(ends)]
            pack(pages, cut, lengths, settings.chunk_tokens, settings.chunk_overlap_tokens)
        cost = meter.cost()
    await server.close()
    return cost


def embedded(model: Path, passages: list[str]) -> Cost:
    """What a child like the service's takes for the passages."""
    with llama_child(model, embeds=True) as child:
        child.post("/v1/embeddings", json={"input": passages[:BATCH]})
        meter = Meter()
        for start in range(0, len(passages), BATCH):
            asked = {"input": passages[start : start + BATCH], "threads": os.cpu_count()}
            child.post("/v1/embeddings", json=asked).raise_for_status()
        return meter.cost()


def made_up(out: Path, pages: int) -> Path:
    """A report of words that say nothing, the same every time."""
    chance = random.Random(1)
    words = [
        "".join(chance.choices("abdefgiklmnoprstu", k=chance.randint(3, 9))) for _ in range(WORDS)
    ]
    pdf = FPDF()
    pdf.set_font("Helvetica", size=11)
    for number in range(pages):
        pdf.add_page()
        pdf.cell(text=f"Chapter {number + 1}", new_x="LMARGIN", new_y="NEXT")
        for _ in range(LINES_A_PAGE):
            line = " ".join(chance.choices(words, k=WORDS_A_LINE)).capitalize() + "."
            pdf.cell(text=line, new_x="LMARGIN", new_y="NEXT")
    pdf.output(str(out))
    return out


def imported(client: httpx2.Client, file: Path) -> int:
    """Import it for the demo model; returns its pages."""
    with file.open("rb") as opened:
        answer = client.post(
            "/importDocument", params={"modelName": "demo"}, files={"file": (file.name, opened)}
        )
    answer.raise_for_status()
    return int(answer.json()["pages_total"])


def texts(database: Path) -> list[tuple[str, int]]:
    """The passages nearly as they were embedded, without the document's name, and their tokens."""
    with sqlite3.connect(database) as connection:
        return connection.execute("SELECT text, tokens FROM chunks").fetchall()


if __name__ == "__main__":
    main()
