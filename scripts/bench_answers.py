"""How far answers can be trusted: refusals where the documents hold no answer, and citations that were tampered with.

    .venv/bin/python scripts/bench_answers.py --data DIR [--home FOLDER] [--fit]

DIR holds folders of PDFs with `questions.jsonl` (a `question` a line) in them, or above them with the folder as
`library`. FOLDER keeps the data folder, so that the documents are imported once. `--fit` makes the weights of
`api/rag/relevance.py` anew for the embedding model of the settings.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from answers import citations, refusals
from answers.libraries import imported, libraries, opened

SEEDS = 4
"""Sets of 200 citations a library."""


async def measure(data: Path, home: Path, *, fit: bool) -> None:
    """Import what is new, and print the tables."""
    found = libraries(data)
    async with opened(home) as services:
        for library in found:
            await imported(services, library)
            print(f"{library.name}: {len(library.files)} documents", flush=True)
        version, questions = await refusals.asked(services, found)
        print(refusals.report(version, questions, fit=fit))
        told = {one.name: citations.passages_of(services, one.name) for one in found}
        print(citations.report(told, SEEDS))


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = options.home or Path(temporary) / "data"
        asyncio.run(measure(options.data, home, fit=options.fit))


if __name__ == "__main__":
    main()
