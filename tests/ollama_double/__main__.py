"""`python -m tests.ollama_double COMMAND`: the stand-in's `ollama`."""

import sys

from tests.ollama_double.cli import main

sys.exit(main())
