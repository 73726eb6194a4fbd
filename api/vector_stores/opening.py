"""Opens the vector stores of a workspace."""

from api.documents.deleting import Deleter
from api.files.files import Files
from api.models.catalog import ModelCatalog
from api.rag import Answers
from api.store import Store
from api.vector_stores.attaching import Attaching
from api.vector_stores.files import StoreFiles
from api.vector_stores.stores import VectorStores


def open_vector_stores(
    store: Store,
    files: Files,
    attaching: Attaching,
    deleter: Deleter,
    models: ModelCatalog,
    answers: Answers,
) -> VectorStores:
    """Those of the workspace whose store, files, models and answers these are."""
    return VectorStores(store, deleter, models, answers, StoreFiles(store, files, attaching))
