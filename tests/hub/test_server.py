"""The small hub is one: the library that everybody uses downloads from it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.hub.server import Hub

PROGRAM = """
import sys, huggingface_hub
huggingface_hub.snapshot_download("org/model", revision="main", local_dir=sys.argv[1], max_workers=1)
"""


def test_the_hubs_own_library_downloads_a_whole_repository(tmp_path: Path) -> None:
    files = {"config.json": b'{"a": 1}', "model.safetensors": os.urandom(2**20)}
    with Hub() as hub:
        hub.add("org/model", files)
        environment = os.environ | {"HF_ENDPOINT": hub.url(), "HF_HOME": str(tmp_path / "home")}
        environment |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_TOKEN": ""}
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "here")], env=environment, check=True
        )
        methods = {one.method for one in hub.asked}
    assert {name: (tmp_path / "here" / name).read_bytes() for name in files} == files
    assert methods == {"GET", "HEAD"}
