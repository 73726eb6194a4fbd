"""A model server that answers in another language."""

import time

print("ready!", flush=True)  # noqa: T201
time.sleep(600)
