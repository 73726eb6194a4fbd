"""collections: sets of documents that no model needs to own."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.documents.collections import ListedCollection
from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import ServicesDep, request_model
from api.routes.original.fields import HasMore, Name, PageRequest

router = APIRouter(prefix="/collections", tags=["collections"])

IdOrName = Annotated[
    str,
    AfterValidator(lambda name: name.replace("%2F", "/")),
    Path(alias="collection", description="The collection's id or name.", examples=["handbooks"]),
]


class CreateCollectionRequest(BaseModel):
    """A name, and what embeds the documents."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(
        description="What it is called; a collection with a model's name holds that model's documents.",
        examples=["handbooks"],
    )
    embedder: Name = Field(
        "",
        description="The embedding model; the one that the settings name when left out.",
        examples=["all-minilm-l6-v2-int8"],
    )


class EmbedCollectionRequest(BaseModel):
    """By what, and whether from the files on."""

    model_config = ConfigDict(extra="forbid")

    embedder: Name = Field(
        "",
        description="The embedding model; the collection's own when left out, to cut and embed anew.",
        examples=["all-minilm-l6-v2-int8"],
    )
    reread: bool = Field(
        False,
        description="Read the files again too, as far as they are there and open without a password.",
    )


class EmbeddingResponse(BaseModel):
    """A collection that is being embedded anew, or was: then the index of before stands by."""

    embedder: str = Field(description="What it is, or was, embedded by.")
    previous: str = Field(description="What answers until then, or answered before.")
    status: str = Field(description="running, failed, or ready: it has switched.")
    reread: bool
    documents_done: int
    documents_total: int
    error: dict[str, Any] | None = Field(
        description="Why it failed, or while it is running what it waits for."
    )
    started_at: str


class CollectionResponse(BaseModel):
    """One collection."""

    id: str
    name: str = Field(description="`*` is the collection for all models.")
    embedder: str = Field(description="The embedding model.")
    documents: int = Field(description="How many can be searched.")
    created_at: str
    shared: bool = Field(description="Whether every workspace may look into it.")
    embedding: EmbeddingResponse | None = Field(
        None,
        description="How far it is embedded anew; null when it never was, or that was dropped.",
    )


class ListCollectionsResponse(BaseModel):
    """Collections, oldest first."""

    collections: list[CollectionResponse]
    has_more: HasMore


class DeleteCollectionResponse(BaseModel):
    """What went."""

    Message: str
    deleted: Sequence[str] = Field(description="The names of its documents.")


@router.post(
    "",
    operation_id="create_collection",
    status_code=201,
    summary="Create a collection",
    responses=problems(409, 422),
    openapi_extra=documented(CreateCollectionRequest),
)
async def create_collection(
    request: Annotated[CreateCollectionRequest, Depends(request_model(CreateCollectionRequest))],
    services: ServicesDep,
    response: Response,
) -> CollectionResponse:
    """An empty set of documents. A model's own collection comes by itself, with its first document.

    The parameters may come as a form or as JSON too: `{"name": "handbooks"}`.
    """
    made = await services.collections.create(request.name, request.embedder)
    response.headers["Location"] = f"/collections/{made.id}"
    return response_of(made)


@router.get(
    "",
    operation_id="list_collections",
    summary="List the collections",
    responses=problems(404, 422),
    openapi_extra=documented(PageRequest),
)
async def list_collections(
    request: Annotated[PageRequest, Depends(request_model(PageRequest))],
    services: ServicesDep,
) -> ListCollectionsResponse:
    """Oldest first, those of the models among them."""
    found, has_more = await services.collections.page(request.limit, request.after)
    return ListCollectionsResponse(
        collections=[response_of(one) for one in found], has_more=has_more
    )


@router.post(
    "/{collection:path}/embed",
    operation_id="embed_collection",
    status_code=202,
    summary="Embed a collection anew",
    responses=problems(404, 409, 422),
    openapi_extra=documented(EmbedCollectionRequest),
)
async def embed_collection(
    collection: IdOrName,
    request: Annotated[EmbedCollectionRequest, Depends(request_model(EmbedCollectionRequest))],
    services: ServicesDep,
) -> CollectionResponse:
    """Behind the index that answers, which is switched when all is there; `embedding` says how far it is."""
    return response_of(
        await services.collections.embed(collection, request.embedder, reread=request.reread)
    )


@router.post(
    "/{collection:path}/embed/rollback",
    operation_id="roll_back_collection",
    status_code=202,
    summary="Switch back to the earlier index of a collection",
    responses=problems(404, 409, 422),
)
async def roll_back_collection(collection: IdOrName, services: ServicesDep) -> CollectionResponse:
    """As soon as what was imported since is embedded for it too. The present index stands by then."""
    return response_of(await services.collections.roll_back(collection))


@router.delete(
    "/{collection:path}/embed",
    operation_id="end_embedding",
    summary="Give up embedding a collection anew, or drop its earlier index",
    responses=problems(404, 409, 422),
)
async def end_embedding(collection: IdOrName, services: ServicesDep) -> CollectionResponse:
    """While it runs, what answers stays as it is; after the switch this gives back the room of what stands by."""
    return response_of(await services.collections.end_embedding(collection))


@router.get(
    "/{collection:path}",
    operation_id="get_collection",
    summary="One collection",
    responses=problems(404, 422),
)
async def get_collection(collection: IdOrName, services: ServicesDep) -> CollectionResponse:
    """`list_documents` with `collection` lists what stands in it."""
    return response_of(await services.collections.get(collection))


@router.delete(
    "/{collection:path}",
    operation_id="delete_collection",
    summary="Delete a collection with its documents",
    responses=problems(404, 422),
)
async def delete_collection(
    collection: IdOrName, services: ServicesDep
) -> DeleteCollectionResponse:
    """From the answer on nobody finds them; where another collection has the same file, it stays there."""
    deleted, documents = await services.collections.delete(collection)
    return DeleteCollectionResponse(
        Message=f"Successfully deleted {deleted.name}", deleted=[one.name for one in documents]
    )


def response_of(collection: ListedCollection) -> CollectionResponse:
    """What is told of one."""
    return CollectionResponse(**asdict(collection))
