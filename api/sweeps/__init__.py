"""Sweeps: the same training with other parameters, several times, and which of them is best."""
