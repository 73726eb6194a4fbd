"""A job: its directory, its specification, its stages in order."""
