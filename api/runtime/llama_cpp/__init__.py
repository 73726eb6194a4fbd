"""The embedded runtime: llama.cpp in child processes over a registry of model files."""
