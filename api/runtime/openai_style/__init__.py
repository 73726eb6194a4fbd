"""The runtime over any server that speaks OpenAI's wire."""
