"""What importing a PDF costs, as ratios of one run to embedding the same passages by llama.cpp alone.

    .venv/bin/python scripts/bench_import.py [--pages 40] [--rounds 3] [FILE.pdf ...]

Without files, a report of so many pages is made up.
"""

import argparse
import random
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

import httpx2
from bench_servers import EMBEDDER, converted, cpu_seconds, llama_child, processor, service
from fpdf import FPDF

WORDS = 200
LINES_A_PAGE = 40
WORDS_A_LINE = 12
BATCH = 32


def main() -> None:
    """Import each file, embed its passages alone, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--pages", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = options.files or [made_up(folder / "report.pdf", options.pages)]
        model = converted(EMBEDDER, "q8_0", folder / "embedder.gguf")
        imports, own, alone, pages, passages = [], [], [], 0, []
        with service(folder / "data") as (client, pid):
            for _ in range(options.rounds):
                before, began = cpu_seconds(pid), time.monotonic()
                pages = sum(imported(client, file) for file in files)
                imports.append(time.monotonic() - began)
                own.append(cpu_seconds(pid) - before)
                passages = texts(folder / "data" / "state.sqlite3")
                client.delete("/deleteAll_Documents", params={"modelName": "demo"})
                with llama_child(model, embeds=True) as child:
                    embed(child, passages[:BATCH])
                    began = time.monotonic()
                    embed(child, passages)
                    alone.append(time.monotonic() - began)
    whole, embedding = statistics.median(imports), statistics.median(alone)
    print(f"{processor()}; {pages} pages, {len(passages)} passages, medians of {options.rounds}")
    print(f"{'':24} {'seconds':>8} {'ratio':>6} {'pages/s':>8}")
    print(f"{'embedding alone':24} {embedding:8.2f} {1:6.2f} {pages / embedding:8.1f}")
    print(f"{'import':24} {whole:8.2f} {whole / embedding:6.2f} {pages / whole:8.1f}")
    cpu = statistics.median(own)
    print(f"{'CPU of the API process':24} {cpu:8.2f} {cpu / embedding:6.2f}")


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


def texts(database: Path) -> list[str]:
    """The passages as they were embedded, nearly: their text without the document's name."""
    with sqlite3.connect(database) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM chunks")]


def embed(child: httpx2.Client, passages: list[str]) -> None:
    """All of them, in batches."""
    for start in range(0, len(passages), BATCH):
        asked = {"input": passages[start : start + BATCH]}
        child.post("/v1/embeddings", json=asked).raise_for_status()


if __name__ == "__main__":
    main()
