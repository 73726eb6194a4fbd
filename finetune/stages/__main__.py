"""Forks the stages of one job, with everything imported that they share; `finetune/job/preloaded.py` asks for them.

    python -m finetune.stages DESCRIPTOR JOB_DIR

Reads names of stages from the socket DESCRIPTOR, one a line; answers each with the id of its process, and when that has
ended with its exit code.
"""

import ctypes
import gc
import importlib
import os
import runpy
import signal
import socket
import sys
import traceback
from typing import NoReturn

from finetune.job.launch import PR_SET_PDEATHSIG
from finetune.job.stage import EXIT_FAILED, EXIT_INTERRUPTED

SHARED = ("train", "merge", "verify", "dataset")
NO_COMPILER = "TORCHDYNAMO_DISABLE"
"""While bitsandbytes is imported, which else has torch's compiler loaded for functions that a training on a CPU hardly
ever calls: a sixth of the time of all imports. What is compiled later is.
"""
_libc = ctypes.CDLL(None)  # loaded before any fork


def main(arguments: list[str]) -> int:
    """Serve until the other end closes."""
    descriptor, job = int(arguments[0]), arguments[1]
    gc.disable()  # what is imported stays: looking through it again and again is an eighth of the imports' time
    os.environ[NO_COMPILER] = "1"
    for stage in SHARED:
        importlib.import_module(f"finetune.stages.{stage}")
    del os.environ[NO_COMPILER]
    gc.freeze()  # and each stage would copy the pages that a collection marks
    gc.enable()
    sys.argv = ["", job]
    us = os.getpid()
    with socket.socket(fileno=descriptor) as line, line.makefile("r") as asked:
        line.set_inheritable(False)
        for stage in asked:
            pid = os.fork()
            if pid == 0:  # keeps its end of the line open, so that who waits waits for it too
                _become(stage.strip(), us)
            line.sendall(f"{pid}\n".encode())
            _, status = os.waitpid(pid, 0)
            line.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    return 0


def _become(stage: str, parent: int) -> NoReturn:
    """Be the stage as its own command would be, and end without what the parent does at its end."""
    code = EXIT_FAILED
    try:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(EXIT_INTERRUPTED)
        sys.modules.pop(f"finetune.stages.{stage}", None)  # it is run, not imported
        runpy.run_module(f"finetune.stages.{stage}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else EXIT_FAILED
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
