"""LangChain over a service: langchain_client.py BASE_URL MODEL EMBEDDER. Prints what it heard as JSON."""

import json
import sys

from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field

base_url, model, embedder = sys.argv[1:]
chat = ChatOpenAI(base_url=base_url, api_key="none", model=model, temperature=0, max_tokens=200)


class Age(BaseModel):
    """How old somebody is."""

    years: int = Field(ge=0, le=99)


class Weather(BaseModel):
    """The weather in a city."""

    city: str = Field(max_length=20)


embeddings = OpenAIEmbeddings(
    base_url=base_url,
    api_key="none",
    model=embedder,
    check_embedding_ctx_length=False,  # else it sends token ids, of another vocabulary
)
called = chat.bind_tools([Weather], tool_choice="Weather").invoke("How warm is it in Oslo?")
print(
    json.dumps(
        {
            "whole": chat.invoke("Hello").content,
            "streamed": "".join(str(piece.content) for piece in chat.stream("Hello")),
            "structured": chat.with_structured_output(Age).invoke("How old is Orlo?").years,
            "called": [[call["name"], sorted(call["args"])] for call in called.tool_calls],
            "dimensions": [len(one) for one in embeddings.embed_documents(["one", "two"])],
        }
    )
)
