"""The README's calls run from top to bottom, as they stand there."""

import os
import re
import shutil
import subprocess

import pytest

from tests.e2e.conftest import ROOT, Server

README = (ROOT / "README.md").read_text(encoding="utf-8")
CALLS = README.partition("\nAPI=http://127.0.0.1:3000\n")[2].partition("```")[0]
WITH_A_JOB = re.compile(r"\$JOB|JOB=|northwind|/jobs|EVALUATION")
"""Of the fine-tune, which takes a minute, and of what judges it."""
STRICT = 'set -e\ncurl() { command curl --silent --show-error --fail-with-body "$@"; }\n'


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_the_calls_of_the_readme_succeed_one_after_the_other(server: Server) -> None:
    calls = [line for line in CALLS.splitlines() if not WITH_A_JOB.search(line)]
    assert len(calls) > 20
    ran = subprocess.run(
        ["bash", "-c", STRICT + "\n".join(calls)],
        cwd=ROOT,
        env=os.environ | {"API": str(server.client.base_url).rstrip("/")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout[-1000:] + ran.stderr
    assert (
        ran.stdout.count("40 euros [1]") == 2
    )  # of generate and below /v1; the third one is streamed
    assert "a silver goose [1]" in ran.stdout
    assert server.client.get("/list_models").json() == {"All Created Models": ["demo"]}
