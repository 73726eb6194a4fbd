"""An environment of its own for a client: what it brings along must not meet what the service needs."""

import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import ROOT

FOLDER = ROOT / ".pytest_cache" / "clients"
"""Made once; git leaves it alone."""


def environment(name: str, *packages: str) -> Path:
    """The programs of an environment that has these packages."""
    programs = FOLDER / name / "bin"
    wanted = "\n".join(packages)
    made = FOLDER / f"{name}.txt"
    if not made.exists() or made.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", FOLDER / name], check=True)
        python = programs / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "uv"], check=True)
        script = str(ROOT / "scripts" / "uv_install.py")
        subprocess.run([str(python), script, "--quiet", *packages], check=True)
        made.write_text(wanted)
    return programs
