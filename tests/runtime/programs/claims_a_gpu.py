"""Says that llama.cpp can use a GPU here, and is else the program that serves a model."""

import json
import sys

from api.runtime.llama_cpp.server import main

if "--devices" in sys.argv:
    print(json.dumps({"devices": ["CPU", "GPU"]}))  # noqa: T201
else:
    main()
