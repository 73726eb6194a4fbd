"""Ends as if the kernel had run out of memory."""

import os
import signal
import sys

if __name__ == "__main__":
    sys.stderr.write("about to take all memory\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)
