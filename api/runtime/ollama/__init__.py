"""The runtime over an Ollama server."""
