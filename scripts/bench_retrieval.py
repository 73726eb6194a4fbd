"""Whether the right page is found: the service's search beside the recipes that a user would have instead.

    .venv/bin/python scripts/bench_retrieval.py --data DIR [--cache DIR] [--onnx FILE] [--only NAME ...]
                                       [--paraphrases FILE]

`DIR` holds libraries (a folder each of PDFs, or of `passages.jsonl`) with a `questions.jsonl` that names documents and
pages; or PDFs with questions whose `truth` cites its page as `[file.pdf#page=3]`; or SQuAD and Cranfield files. A page
counts once, at its best chunk. Figures are means with 95 % intervals (bootstrap over questions), and differences are
paired: from ours to each other recipe, and from ours to ours with one part off. Every text is embedded once ever:
vectors lie in `--cache`. Milliseconds are of a search without embedding its question; megabytes are of all that ours
keeps on disk, and of the texts, vectors and words of the others, which search them in memory.

`--paraphrases`: a line of `{"question": "...", "paraphrases": ["...", "..."]}` a question. `+ paraphrases` searches
them beside the question, as `expand=true` does with a model's; `+ and a drifting one` has one more, a paraphrase of
another question of the library, as far as the service does not drop it, `+ and it kept` in any case; `alone`, without
those of the question.

`original's`: 7,500 characters, the nearest four. `LangChain's usual`: 1,000 characters that share 200, the nearest.
`plain hybrid`: 240 tokens cut at line ends, the best 100 by meaning and by words, min-max normalised, added by halves.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from bench_servers import processor
from retrieval_bench.embedder import KnownEmbedder
from retrieval_bench.figures import FIGURES, difference, judged, told
from retrieval_bench.libraries import Library, Place, libraries
from retrieval_bench.ours import VARIANTS, Ours
from retrieval_bench.paraphrases import Paraphrases, asked_so, paraphrases
from retrieval_bench.recipes import others

Figures = dict[str, dict[str, list[tuple[float, ...]]]]
"""By recipe and kind of question: the figures of each question, in the same order for every recipe."""
OTHERS = ("original", "langchain", "hybrid")
ALL, OURS = "all", "ours"


def main() -> None:
    """Measure every library of the folder and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "retrieval-bench"
    )
    parser.add_argument(
        "--onnx", type=Path, help="another encoder, of `python -m finetune.encoders`"
    )
    parser.add_argument("--only", nargs="*", help="names of libraries")
    parser.add_argument("--others", nargs="*", choices=OTHERS, default=OTHERS)
    parser.add_argument("--paraphrases", type=Path, help="questions in other words")
    options = parser.parse_args()
    embedder = KnownEmbedder(options.cache, options.onnx)
    known = paraphrases(options.paraphrases) if options.paraphrases else {}
    figures: Figures = defaultdict(lambda: defaultdict(list))
    for library in libraries(options.data, options.cache):
        if not options.only or library.name in options.only:
            asyncio.run(measure(library, embedder, options.others, known, figures))
    print(f"\n{processor()}; embedder {embedder.model}\n")
    print_means(figures)
    print_differences(figures)


async def measure(
    library: Library,
    embedder: KnownEmbedder,
    wanted: Sequence[str],
    known: Paraphrases,
    figures: Figures,
) -> None:
    """Ask all questions of one library in every way, and print what a search cost."""
    questions = [question.text for question in library.questions]
    print(f"\n{library.name}: {len(library.documents)} documents, {len(questions)} questions")
    ways = asked_so(questions, known) if known else {}
    embedder.queries([*questions, *(one for queries in known.values() for one in queries)])
    for name, recipe in others(library, embedder, wanted):
        with Asked(library, figures, name, recipe.megabytes) as asked:
            for question in questions:
                asked.found(recipe.pages(question))
    with tempfile.TemporaryDirectory() as folder:
        ours = await Ours.of(library, embedder, Path(folder))
        for name, parts in VARIANTS.items():
            with Asked(library, figures, name, ours.megabytes) as asked:
                for question in questions:
                    asked.found(await ours.pages([question], parts))
        for name, all_queries in ways.items():
            with Asked(library, figures, name, ours.megabytes) as asked:
                for queries in all_queries:
                    asked.found(await ours.pages(queries))
        ours.close()


class Asked:
    """A library's questions, asked one after the other in one way: how good each answer is, and how long it took."""

    def __init__(self, library: Library, figures: Figures, name: str, megabytes: float) -> None:
        self._questions, self._figures = iter(library.questions), figures[name]
        self._name, self._megabytes = name, megabytes
        self._times: list[float] = []

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def found(self, pages: Sequence[Place]) -> None:
        """What was found for the next question."""
        self._times.append(1000 * (time.perf_counter() - self._began))
        question = next(self._questions)
        self._figures[question.kind].append(judged(pages, question.pages))
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        times = sorted(self._times)
        print(
            f"  {self._name:24}{1000 / statistics.mean(times):7.0f} queries/s, p50 {times[len(times) // 2]:5.1f} ms, "
            f"p95 {times[int(len(times) * 0.95)]:5.1f} ms, {self._megabytes:5.1f} MB",
            flush=True,
        )


def of_all(kinds: dict[str, list[tuple[float, ...]]]) -> list[tuple[float, ...]]:
    """Every question in the language of its documents."""
    return [one for kind, some in kinds.items() if "other language" not in kind for one in some]


def print_means(figures: Figures) -> None:
    """A row a recipe: the figures over all, and the first of them by kind."""
    kinds = list(figures[OURS])
    print(
        f"{'':24}"
        + "".join(f"{name:>22}" for name in FIGURES)
        + "".join(f"{kind[:22]:>24}" for kind in kinds)
    )
    for name, by_kind in figures.items():
        every = list(zip(*of_all(by_kind), strict=True))
        cells = [told(values) for values in every]
        cells += [told([one[0] for one in by_kind[kind]]) for kind in kinds]
        print(f"{name:24}" + "".join(f"{cell:>23}" for cell in cells))


def print_differences(figures: Figures) -> None:
    """What ours has more in nDCG@10 than each other, paired, over all and by kind."""
    kinds = list(figures[OURS])
    print(f"\n{'ours, less':24}{ALL:>24}" + "".join(f"{kind[:22]:>24}" for kind in kinds))
    for name, by_kind in figures.items():
        if name != OURS:
            pairs = [(of_all(figures[OURS]), of_all(by_kind))]
            pairs += [(figures[OURS][kind], by_kind[kind]) for kind in kinds]
            cells = [
                difference([a[0] for a in ours], [b[0] for b in other]) for ours, other in pairs
            ]
            print(f"{name:24}" + "".join(f"{cell:>24}" for cell in cells))


if __name__ == "__main__":
    main()
