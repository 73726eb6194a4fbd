"""How a model speaks: before, after, and on the server."""
