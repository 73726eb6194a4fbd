"""A model server that ends before it says anything."""

import sys

sys.stderr.write("0.00 E something: out of memory error\n")
sys.exit(3)
