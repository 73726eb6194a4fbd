"""Batches: many requests as one file, answered behind all that somebody waits for."""
