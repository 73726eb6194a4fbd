"""LlamaIndex over a service: llama_index_client.py BASE_URL MODEL EMBEDDER. Prints what it heard as JSON."""

import json
import sys

from llama_index.core.llms import ChatMessage
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike

base_url, model, embedder = sys.argv[1:]
options = {"api_base": base_url, "api_key": "none"}
chat = OpenAILike(
    model=model,
    is_chat_model=True,  # else it writes on raw texts
    is_function_calling_model=True,
    context_window=2048,
    temperature=0,
    max_tokens=24,
    **options,
)
turns = [ChatMessage(role="user", content="Hello")]
pieces = [piece.delta or "" for piece in chat.stream_chat(turns)]
vectors = OpenAILikeEmbedding(model_name=embedder, **options)
print(
    json.dumps(
        {
            "whole": chat.chat(turns).message.content,
            "streamed": "".join(pieces),
            "dimensions": [len(one) for one in vectors.get_text_embedding_batch(["one", "two"])],
        }
    )
)
