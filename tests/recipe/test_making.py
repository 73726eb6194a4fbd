"""The demo model's recipe runs as its page says, and is part of nothing that is shipped."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = PurePosixPath("examples/recipe")


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)


@pytest.mark.real
def test_the_recipe_says_what_it_takes() -> None:
    shown = run("-m", "examples.recipe.make", "--help")
    assert shown.returncode == 0
    assert "--measure-only" in shown.stdout


@pytest.mark.real
def test_the_model_that_is_there_is_measured_and_its_card_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "demo_model"
    shutil.copytree(ROOT / "examples" / "demo_model", folder)
    before = json.loads((folder / "abilities.json").read_text())
    (folder / "README.md").unlink()
    command = ("examples/recipe/make.py", "--measure-only", "--cases", "1", "--out", str(folder))
    measured = run(*command)
    assert measured.returncode == 0, measured.stderr
    after = json.loads((folder / "abilities.json").read_text())
    assert after["training"] == before["training"]
    assert "(1 cases each)" in (folder / "README.md").read_text()


def test_it_is_in_no_installed_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = [".".join(path.parts) for path in (RECIPE, *RECIPE.parents[:-1])]
    assert not [name for name in packages for pattern in patterns if fnmatch(name, pattern)]


def test_it_is_in_no_image() -> None:
    ignored, *allowed = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert ignored == "*"
    taken = [PurePosixPath(line[1:]) for line in allowed if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "Dockerfile").read_text(), re.M)
    assert not [path for path in (*taken, *map(PurePosixPath, copied)) if holds(path, RECIPE)]


def holds(path: PurePosixPath, other: PurePosixPath) -> bool:
    return path == other or path in other.parents or other in path.parents
