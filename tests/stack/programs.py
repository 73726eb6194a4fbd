"""Programs of the containers, stood in by small shell scripts that tests put first on PATH."""

import os
from pathlib import Path


def put_on_path(folder: Path, name: str, text: str) -> dict[str, str]:
    """An environment in which `name` is a script of this text that finds its state in STATE."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text("#!/usr/bin/env bash\n" + text, encoding="utf-8")
    program.chmod(0o755)
    return {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "STATE": str(folder),
    }
