"""The child program that runs one model: llama.cpp's own HTTP server on a free loopback port.

Reads one JSON line from its standard input, writes one to its standard output (its address, or why there is none),
serves, and ends when its standard input closes. Depends on the binding alone. With `--devices`
it only lists what the binding can compute on.
"""

import json
import os
import sys
from typing import Any, TextIO


def main() -> None:
    """Serve until the parent is gone."""
    answers = _take_standard_output()
    try:
        import xllamacpp
    except ImportError as error:
        _say(answers, {"error": f"the llama.cpp binding cannot be loaded: {error}"})
        sys.exit(1)
    if "--devices" in sys.argv:
        kinds = [device["type"].name for device in xllamacpp.get_device_info()]
        _say(answers, {"devices": [kind.rpartition("_")[2] for kind in kinds]})
        return
    config = json.loads(sys.stdin.readline())
    try:
        server = xllamacpp.Server(_parameters(xllamacpp, config))
    except (RuntimeError, ValueError) as error:
        _say(answers, {"error": str(error)})
        sys.exit(1)
    _say(answers, {"address": server.listening_address})
    sys.stdin.read()
    os._exit(0)  # open streams must not keep a child whose parent is gone


def _take_standard_output() -> TextIO:
    """Keep standard output for the answer; what native code prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _say(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _parameters(xllamacpp: Any, config: dict[str, Any]) -> Any:
    slots, context = config["slots"], config["context_length"]
    parameters = xllamacpp.CommonParams()
    parameters.model.path = config["path"]
    if projector := config.get("projector"):
        parameters.mmproj.path = projector
        parameters.mmproj_use_gpu = config["gpu_layers"] != 0
    parameters.api_keys = [config["key"]]
    parameters.n_ctx = slots * context
    parameters.n_parallel = slots
    parameters.n_threads_http = slots + 8
    parameters.cpuparams.n_threads = config["threads"]
    parameters.cpuparams_batch.n_threads = config["threads"]
    parameters.n_gpu_layers = config["gpu_layers"]
    parameters.chat_template = config["template"]
    parameters.sse_ping_interval = -1
    parameters.embedding = reads = config["embeds"] or config["reranks"]
    if config["reranks"]:
        parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    # a text must fit into one batch; a prompt shows a sign of life with each
    parameters.n_batch = parameters.n_ubatch = max(context, 2048) if reads else 512
    parameters.cache_ram_mib = 0
    parameters.warmup = False
    parameters.fit_params = True
    parameters.ui = False
    parameters.cors_origins = ""
    parameters.verbosity = 1
    return parameters


if __name__ == "__main__":
    main()
