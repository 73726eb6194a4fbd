"""Programs that serve one model on OpenAI's wire, each a process of its own: heavy libraries are loaded only there."""
