"""A pipeline that is killed before it can say anything but a last line."""

import os
import signal
import sys

sys.stderr.write("the last words\n")
sys.stderr.flush()
os.kill(os.getpid(), signal.SIGKILL)
