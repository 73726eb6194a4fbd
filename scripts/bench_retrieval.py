"""Whether the right page is found: the service's search beside the recipes that a user would have instead.

    .venv/bin/python scripts/bench_retrieval.py --data DIR [--cache DIR] [--onnx FILE] [--only NAME ...]

`DIR` holds libraries (a folder each of PDFs, or of `passages.jsonl`) with a `questions.jsonl` that names documents and
pages; or PDFs with questions whose `truth` cites its page as `[file.pdf#page=3]`; or SQuAD and Cranfield files. A page
counts once, at its best chunk. Figures are means with 95 % intervals (bootstrap over questions), and differences are
paired: from ours to each other recipe, and from ours to ours with one part off. Every text is embedded once ever:
vectors lie in `--cache`. Milliseconds are of our search without embedding its question.

`original's`: 7,500 characters, the nearest four. `LangChain's usual`: 1,000 characters that share 200, the nearest.
`plain hybrid`: 240 tokens cut at line ends, the best 100 by meaning and by words, min-max normalised, added by halves.
"""

import argparse
import asyncio
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bench_servers import processor
from retrieval_bench.embedder import KnownEmbedder
from retrieval_bench.figures import FIGURES, difference, judged, told
from retrieval_bench.libraries import Library, libraries
from retrieval_bench.ours import VARIANTS, Ours
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
    options = parser.parse_args()
    embedder = KnownEmbedder(options.cache, options.onnx)
    figures: Figures = defaultdict(lambda: defaultdict(list))
    costs: list[str] = []
    for library in libraries(options.data, options.cache):
        if not options.only or library.name in options.only:
            costs.append(asyncio.run(measure(library, embedder, options.others, figures)))
            print(costs[-1], flush=True)
    print(f"\n{processor()}; embedder {embedder.model}\n")
    print_means(figures)
    print_differences(figures)


async def measure(
    library: Library, embedder: KnownEmbedder, wanted: Sequence[str], figures: Figures
) -> str:
    """Ask all questions of one library in every way; returns what our search cost."""
    embedder.vectors([question.text for question in library.questions])
    for name, recipe in others(library, embedder, wanted):
        for question in library.questions:
            figures[name][question.kind].append(judged(recipe.pages(question.text), question.pages))
    with tempfile.TemporaryDirectory() as folder:
        ours = await Ours.of(library, embedder, Path(folder))
        for name, parts in VARIANTS.items():
            for question in library.questions:
                found = await ours.pages(question.text, parts)
                figures[name][question.kind].append(judged(found, question.pages))
        times, size = sorted(ours.milliseconds), ours.megabytes
        ours.close()
    return (
        f"{library.name}: {len(library.documents)} documents, {len(library.questions)} questions; ours "
        f"{1000 / statistics.mean(times):.0f} queries/s, p50 {times[len(times) // 2]:.0f} ms, "
        f"p95 {times[int(len(times) * 0.95)]:.0f} ms, {size:.1f} MB on disk"
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
