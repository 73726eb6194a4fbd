"""A pipeline that trains in a blink as soon as it finds a file `enough` in its folder."""

import runpy
import sys
import time
from pathlib import Path

while not (Path(sys.argv[1]) / "enough").exists():
    time.sleep(0.02)
runpy.run_module("tests.jobs.programs.trains_quickly", run_name="__main__")
