"""The program that holds one loaded model: llama.cpp's own server on a free port, as Ollama starts it.

Reads one JSON line, writes its address (or why there is none), serves until its standard input closes. Depends on
the llama.cpp binding alone.
"""

import ctypes
import json
import os
import signal
import sys
from typing import Any, TextIO

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until the parent is gone."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what native code prints is no answer
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    config = json.loads(sys.stdin.readline())
    import xllamacpp

    try:
        server = xllamacpp.Server(_parameters(xllamacpp, config))
    except (RuntimeError, ValueError) as fault:
        _say(answers, {"error": str(fault)})
        os._exit(1)
    _say(answers, {"address": server.listening_address})
    sys.stdin.read()
    os._exit(0)


def _say(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _parameters(xllamacpp: Any, config: dict[str, Any]) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = config["path"]
    if config["projector"]:
        parameters.mmproj.path = config["projector"]
    parameters.api_keys = [config["key"]]
    parameters.n_ctx = config["context"]
    parameters.n_parallel = 1
    parameters.ctx_shift = config["shifts"]
    parameters.use_jinja = config["jinja"]
    if not config["jinja"]:
        parameters.chat_template = "chatml"
    parameters.embedding = config["embeds"]
    parameters.n_batch = parameters.n_ubatch = (
        min(2048, config["context"]) if config["embeds"] else 512
    )
    parameters.n_threads_http = 4
    parameters.cpuparams.n_threads = config["threads"]
    parameters.cpuparams_batch.n_threads = config["threads"]
    parameters.n_gpu_layers = 0
    parameters.sse_ping_interval = -1
    parameters.cache_ram_mib = 0
    parameters.warmup = False
    parameters.ui = False
    parameters.verbosity = 1
    return parameters


if __name__ == "__main__":
    main()
