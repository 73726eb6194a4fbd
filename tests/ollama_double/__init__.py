"""A test double of the Ollama server (0.32), with a real llama.cpp behind it.

It answers on `/`, `/api/version|tags|show|ps|copy|delete|create|pull|chat|generate|embed|embeddings|blobs` as a real
server was seen to answer, and keeps its models on disk as a real one does. What it was made from is the record of
those answers, never the client under test.

Left out, answered with status 501: `/v1/...`, `push`, `me`, adapters, quantizing, safetensors, remote models, models
that see or hear. Also left out: the log, GPU placement, split GGUF files, built-in parsers and renderers (so a model
with a Go template does not think aloud in `thinking`), a model's broken UTF-8, and all but three of the built-in
templates. The model library is a folder of GGUF files; its host is called `model-library`.

It needs starlette, uvicorn, httpx2 and xllamacpp, and nothing else of the project.
"""
