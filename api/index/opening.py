"""Opens the index as the settings say."""

from api.index import Index
from api.index.embeddings import Embedder
from api.index.lexical import LexicalIndex
from api.runtime import ModelRuntime
from api.settings import Settings
from api.store import Store


def open_index(settings: Settings, store: Store, runtime: ModelRuntime) -> Index:
    """Open both halves; `Index.repair` then makes them what the store says."""
    from api.index.vectors import open_embedded  # chromadb takes half a second to import

    return Index(
        store,
        open_embedded(settings.chroma_dir),
        LexicalIndex(settings.lexical_dir),
        Embedder(runtime, settings.embedding_model),
        vectors_behind=True,
    )
