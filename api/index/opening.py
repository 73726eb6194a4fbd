"""Opens the index as the settings say."""

from api.index import Index
from api.index.embeddings import Embedder
from api.index.lexical import LexicalIndex
from api.index.vector_store import VectorStore
from api.runtime import ModelRuntime
from api.settings import Settings
from api.store import Store


def open_index(settings: Settings, store: Store, runtime: ModelRuntime) -> Index:
    """Open both halves; `Index.repair` then makes them what the store says."""
    return Index(
        store,
        _open_vectors(settings),
        LexicalIndex(settings.lexical_dir),
        _open_embedder(settings, runtime),
        vectors_behind=True,
    )


def _open_embedder(settings: Settings, runtime: ModelRuntime) -> Embedder:
    return Embedder(
        runtime,
        settings.embedding_model,
        query=settings.embedding_query_template,
        passage=settings.embedding_passage_template,
        length=settings.embedding_length,
    )


def _open_vectors(settings: Settings) -> VectorStore:
    """Embedded, or a server; chromadb takes half a second to import."""
    if settings.chroma_url is None:
        from api.index.chroma import open_embedded

        return open_embedded(settings.chroma_dir)
    from api.index.chroma_server import open_server

    return open_server(settings.chroma_url, _headers(settings), settings.chroma_ca_file)


def _headers(settings: Settings) -> dict[str, str]:
    if settings.chroma_token is None:
        return {}
    token = settings.chroma_token.get_secret_value()
    carried = {"Authorization": f"Bearer {token}", "X-Chroma-Token": token}
    return {settings.chroma_token_header: carried[settings.chroma_token_header]}
