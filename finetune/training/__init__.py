"""Training itself, and what is known before and during it."""
