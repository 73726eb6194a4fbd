"""A pipeline that dies once and trains when it is started again."""

import os
import runpy
import sys
from pathlib import Path

marker = Path(sys.argv[1]) / "died"
if not marker.exists():
    marker.touch()
    os._exit(9)
runpy.run_module("tests.jobs.programs.trains_quickly", run_name="__main__")
