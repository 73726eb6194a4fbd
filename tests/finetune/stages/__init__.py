"""Tiny stages, named for what they do wrong; each is run as a stage is: `python -m ... JOB_DIR`."""
