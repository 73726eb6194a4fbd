"""llama.cpp's own server, as the embedded runtime starts it, for who speaks with it as with any server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.runtime.llama_cpp.child import SERVER

KEY = "a key of the tests"


@contextmanager
def llama_server(
    gguf: Path, *, embeds: bool = False, context_length: int = 4096, projector: Path | None = None
) -> Iterator[str]:
    """The address below which it speaks OpenAI's wire, to who has the `KEY`."""
    config = {
        "path": str(gguf),
        "projector": str(projector or ""),
        "template": "",
        "context_length": context_length,
        "slots": 2,
        "embeds": embeds,
        "reranks": False,
        "threads": 1,
        "most_threads": 1,
        "gpu_layers": 0,
        "key": KEY,
    }
    with subprocess.Popen(
        [sys.executable, str(SERVER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(config) + "\n")
        process.stdin.flush()
        try:
            yield json.loads(process.stdout.readline())["address"] + "/v1"
        finally:
            process.stdin.close()
            process.wait(60)
