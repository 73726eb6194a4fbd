"""Draws the tree of docs/architecture.md: every file with its one job, which is its docstring's first line.

python scripts/draw_tree.py            print it
python scripts/draw_tree.py --write    put it into docs/architecture.md
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
FOLDERS = ("api", "finetune", "scripts", "examples/recipe")
FENCED = re.compile(r"(?<=<!-- tree -->\n```\n).*?(?=```\n<!-- end of tree -->)", re.DOTALL)
INDENT = "  "
JOBS_FROM = 30
"""The column in which the jobs begin."""


def main() -> None:
    """Print the tree, or write it."""
    tree = "".join(f"{line}\n" for folder in FOLDERS for line in drawn(ROOT / folder, folder, 0))
    if "--write" in sys.argv[1:]:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(FENCED.sub(lambda _: tree, page), encoding="utf-8")
    else:
        print(tree, end="")


def drawn(folder: Path, name: str, depth: int) -> Iterator[str]:
    """A folder's line, its files' lines, then its folders'."""
    yield line(f"{name}/", job_of(folder / "__init__.py"), depth)
    inside = sorted(folder.iterdir())
    for path in inside:
        if path.suffix in (".py", ".sh") and path.name != "__init__.py":
            yield line(path.name, job_of(path), depth + 1)
    for path in inside:
        if path.is_dir() and any(path.glob("*.py")):
            yield from drawn(path, path.name, depth + 1)


def line(name: str, job: str, depth: int) -> str:
    """One line of the tree."""
    return f"{(INDENT * depth + name).ljust(JOBS_FROM)}{job}".rstrip()


def job_of(path: Path) -> str:
    """The first line of a module's docstring, or of a shell script's comment."""
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".sh":
        return text.splitlines()[1].removeprefix("# ")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


main()
