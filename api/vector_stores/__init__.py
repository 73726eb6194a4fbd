"""Vector stores, as OpenAI's clients know them, over collections: files come by their ids, and have attributes."""
