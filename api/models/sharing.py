"""What the first workspace shares of its models, and the collection that a model answers from, wherever it is asked."""

from dataclasses import replace

from api.errors import Conflict
from api.models.remembered import Remembered
from api.names import model_key
from api.store import Store


def bind(store: Store, name: str, collection: str) -> None:
    """Let a model that was just made answer from a collection (id), or from none. It is not shared, whatever was called
    so before.
    """
    record = store.models.get(name)
    if record and (record.collection, record.shared) != (collection, False):
        store.models.put_back(replace(record, collection=collection, shared=False))


def share_model(store: Store, name: str, shared: bool) -> None:
    """Let every workspace use a model, or no other one any more; `errors.Conflict` for what all have, and for one that
    answers from a collection which is not shared.
    """
    record = store.models.get(name)
    if record is None:
        raise Conflict(f"{name!r} is a base model: every workspace has it.")
    found = store.collections.present([record.collection]) if record.collection else []
    private = [one for one in found if not one.shared]
    if shared and private:
        raise Conflict(
            f"{record.name!r} answers from the collection {private[0].name!r}, which is not shared. Share that first: "
            f"PUT /shared/collections/{private[0].id}",
            collection=private[0].id,
        )
    store.models.share(record.name, shared)


def bound_collection(store: Store, name: str) -> str:
    """The id of the collection from which a model answers clients that know only its name; mostly none.

    `errors.Conflict` when that was deleted or is not shared any more: an answer from nothing would look like one from
    it.
    """
    record = store.models.seen(name).get(model_key(name))
    if record is None or not record.collection:
        return ""
    if store.collections.present([record.collection]):
        return record.collection
    if store.models.get(name):
        raise Conflict(
            f"The collection of {name!r} was deleted, or is not shared any more. Create the model again, with another "
            "or none (`replace`)."
        )
    raise Conflict(
        f"The collection from which {name!r} answers is not shared any more. Ask who shares the model."
    )


def bound_collections(store: Store) -> Remembered[str]:
    """The same of any model, held until something is written."""
    return Remembered(store.database, lambda name: bound_collection(store, name))
