"""Whom a conversation of any door is put to: a model, and a collection where its answer comes from documents."""

from collections.abc import Sequence
from typing import Protocol

from api.http.request import asked_model
from api.routes.openai.body import refuse
from api.runtime import Message, ModelInfo
from api.services import Services


class AsksModel(Protocol):
    """A request that names a model, and may name documents or a collection."""

    model: str
    documents: list[str]
    collection: str

    @property
    def model_fields_set(self) -> set[str]:
        """What was said in it."""


async def model_and_collection(
    request: AsksModel, last_role: str, services: Services
) -> tuple[ModelInfo, str]:
    """The model, which the log is told, and the collection, empty where none is asked: the one that is named, else that
    of the model, for a question whose request names no documents, not even none.
    """
    is_named = bool({"documents", "collection"} & request.model_fields_set)
    collection = request.collection
    if not is_named and last_role == "user":
        collection = await services.models.collection_of(request.model)
    over_documents = bool(request.documents or collection)
    return await asked_model(services, request.model, over_documents=over_documents), collection


def require_question(messages: Sequence[Message]) -> None:
    """A question over documents ends with the user's turn."""
    if messages[-1].role != "user":
        raise refuse("messages", "A question over documents ends with the user's turn.")
