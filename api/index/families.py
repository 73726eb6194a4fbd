"""How the known families of embedding models want to be used: what stands around a text, and how long it may be.

A model is recognised by its name, as hubs, Ollama and GGUF files spell it, else by what its file says of itself. What
is unknown gets its texts as they are. The vector is taken out of the model (its pooling) as its file says: the GGUF
header, which llama.cpp and Ollama both follow, so the table only tells readers of it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

TEXT = "{text}"
"""Where the text stands in a template."""
INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
"""What the makers of instructed models name as the task of a search."""


class Templates(NamedTuple):
    """What is embedded of a question and of a passage: `{text}`, and what the model wants around it."""

    query: str = TEXT
    passage: str = TEXT


PLAIN = Templates()
BGE = Templates(f"Represent this sentence for searching relevant passages: {TEXT}")
E5 = Templates(f"query: {TEXT}", f"passage: {TEXT}")
INSTRUCTED = Templates(f"Instruct: {INSTRUCTION}\nQuery: {TEXT}")
NOMIC = Templates(f"search_query: {TEXT}", f"search_document: {TEXT}")


@dataclass(frozen=True, slots=True)
class Family:
    """Models that are used in the same way. `length` is in tokens, `source` the model card that says so."""

    name: str
    pattern: str
    templates: Templates
    pooling: Literal["mean", "first", "last"]
    length: int
    source: str
    architectures: tuple[str, ...] = ()
    """GGUF's names for architectures that only this family has."""


# fmt: off
FAMILIES = (
    # first those whose names hold the name of another
    Family("e5-mistral", r"e5-mistral", INSTRUCTED, "last", 4096, "intfloat/e5-mistral-7b-instruct"),
    Family("multilingual-e5-instruct", r"(multilingual-)?e5-large-instruct", INSTRUCTED, "mean", 512,
           "intfloat/multilingual-e5-large-instruct"),
    Family("e5", r"(multilingual-)?e5-(small|base|large)", E5, "mean", 512, "intfloat/multilingual-e5-small"),
    Family("bge-m3", r"bge-m3", PLAIN, "first", 8192, "BAAI/bge-m3"),
    Family("bge-zh", r"bge-(small|base|large)-zh", Templates(f"为这个句子生成表示以用于检索相关文章：{TEXT}"),  # noqa: RUF001
           "first", 512, "BAAI/bge-large-zh-v1.5"),
    Family("bge-en", r"bge-(small|base|large)", BGE, "first", 512, "BAAI/bge-small-en-v1.5"),
    Family("gte-qwen2", r"gte-qwen2", INSTRUCTED, "last", 32768, "Alibaba-NLP/gte-Qwen2-1.5B-instruct"),
    Family("gte-long", r"gte-(multilingual|modernbert|(base|large)-en)", PLAIN, "first", 8192,
           "Alibaba-NLP/gte-multilingual-base"),
    Family("gte", r"gte-(small|base|large)", PLAIN, "mean", 512, "thenlper/gte-base"),
    Family("nomic-embed-v2", r"nomic-embed-text-v2", NOMIC, "mean", 512, "nomic-ai/nomic-embed-text-v2-moe",
           ("nomic-bert-moe",)),
    Family("nomic-embed", r"nomic-embed-text", NOMIC, "mean", 2048, "nomic-ai/nomic-embed-text-v1.5"),
    Family("embeddinggemma", r"embedding-?gemma",
           Templates(f"task: search result | query: {TEXT}", f"title: none | text: {TEXT}"), "mean", 2048,
           "google/embeddinggemma-300m", ("gemma-embedding",)),
    # the only one without a space before the question
    Family("qwen3-embedding", r"qwen3-embedding", Templates(f"Instruct: {INSTRUCTION}\nQuery:{TEXT}"), "last", 32768,
           "Qwen/Qwen3-Embedding-0.6B"),
    Family("arctic-embed-2", r"arctic-embed(2|-[ml]-v2)", Templates(f"query: {TEXT}"), "first", 8192,
           "Snowflake/snowflake-arctic-embed-l-v2.0"),
    Family("arctic-embed-long", r"arctic-embed([:-]m-long|:137m)", BGE, "first", 2048,
           "Snowflake/snowflake-arctic-embed-m-long"),
    Family("arctic-embed", r"arctic-embed", BGE, "first", 512, "Snowflake/snowflake-arctic-embed-m-v1.5"),
    Family("mxbai-embed-xsmall", r"mxbai-embed-xsmall", PLAIN, "mean", 4096, "mixedbread-ai/mxbai-embed-xsmall-v1"),
    Family("mxbai-embed-de", r"mxbai-embed-de", E5, "mean", 512, "mixedbread-ai/deepset-mxbai-embed-de-large-v1"),
    Family("mxbai-embed", r"mxbai-embed", BGE, "first", 512, "mixedbread-ai/mxbai-embed-large-v1"),
    Family("jina-v3", r"jina-embeddings-v3",
           Templates(f"Represent the query for retrieving evidence documents: {TEXT}",
                     f"Represent the document for retrieval: {TEXT}"), "mean", 8192,
           "jinaai/jina-embeddings-v3", ("jina-bert-v3",)),
    Family("jina-v2", r"jina-embeddings-v2", PLAIN, "mean", 8192, "jinaai/jina-embeddings-v2-base-en",
           ("jina-bert-v2",)),
    Family("granite-r2", r"granite-embedding-(small-)?english-r2", PLAIN, "first", 8192,
           "ibm-granite/granite-embedding-english-r2"),
    Family("granite", r"granite-embedding", PLAIN, "first", 512, "ibm-granite/granite-embedding-278m-multilingual"),
    Family("mpnet", r"(all|multi-qa)-mpnet", PLAIN, "mean", 384, "sentence-transformers/all-mpnet-base-v2"),
    # 12 layers were trained on 128 tokens; they read 256 of a page as well
    Family("minilm", r"(all|paraphrase(-multilingual)?)-minilm|paraphrase-multilingual", PLAIN, "mean", 256,
           "sentence-transformers/all-MiniLM-L6-v2"),
)
# fmt: on


def family_of(names: Iterable[str], architecture: str = "") -> Family | None:
    """The family of a model that is called any of these names, or whose file names an architecture of one only."""
    for name in names:
        spelled = re.sub(r"[\s_]+", "-", name.casefold())
        for family in FAMILIES:
            if re.search(rf"(?<![a-z0-9])({family.pattern})(?![a-z])", spelled):
                return family
    return next((one for one in FAMILIES if architecture in one.architectures), None)


def filled(template: str, text: str) -> str:
    """A text as it is embedded."""
    return template.replace(TEXT, text, 1)
