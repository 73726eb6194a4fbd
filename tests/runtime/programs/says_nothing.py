"""A model server that never gets ready."""

import time

time.sleep(600)
