"""/v1/vector_stores and /v1/vector_stores/{vector_store_id}: made, listed, changed, deleted; and searched."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from api.http.openai_errors import PREFIX
from api.http.request import CallerDep, ServicesDep, asked_model, require_models
from api.http.sse import while_connected
from api.names import MAX_NAME_CHARACTERS
from api.routes.openai.body import Page, json_body, query
from api.routes.openai.files import require_purpose
from api.routes.openai.metadata import Metadata
from api.routes.openai.pages import page
from api.routes.openai.vector_store_objects import (
    Chunking,
    FileId,
    passage_object,
    require_chunking,
    store_object,
)
from api.runtime import ModelInfo
from api.services import Services
from api.store.keyset import Part
from api.vector_stores.files import Wanted
from api.vector_stores.filters import Filter

router = APIRouter(prefix=PREFIX + "/vector_stores")

MOST_FILES = 500
MOST_RESULTS = 50
MOST_QUERIES = 10
LONGEST_NAME = 1000
LONGEST_QUERY = 100_000
Query = Annotated[str, Field(min_length=1, max_length=LONGEST_QUERY)]


class ExpiresAfter(BaseModel):
    """How long a store lives when nobody uses it."""

    anchor: Literal["last_active_at"]
    days: int = Field(ge=1, le=365)


class NotedRequest(BaseModel):
    """What is noted of a store. Its name need not be one of its own."""

    name: str | None = Field(None, max_length=LONGEST_NAME)
    metadata: Metadata | None = None
    expires_after: ExpiresAfter | None = None

    @property
    def expires_after_days(self) -> int | None:
        """Days after its last use."""
        return self.expires_after.days if self.expires_after else None

    def changes(self) -> dict[str, Any]:
        """What is said of it, by the names of the collection's card."""
        told: dict[str, Any] = {"title": self.name or "", "metadata": self.metadata or {}}
        told |= {"expires_after_days": self.expires_after_days}
        members = {"name": "title", "expires_after": "expires_after_days"}
        return {members.get(one, one): told[members.get(one, one)] for one in self.model_fields_set}


class VectorStoreRequest(NotedRequest):
    """The same, with the files that come into it."""

    file_ids: list[FileId] = Field([], max_length=MOST_FILES)
    chunking_strategy: Chunking | None = None


class StoresRequest(Page):
    """Which part of the list: before one of them, too; newest first or last."""

    order: Literal["asc", "desc"] = "desc"
    before: str | None = Field(None, max_length=MAX_NAME_CHARACTERS)

    def part(self) -> Part:
        """The same as a value."""
        return Part(self.limit, self.order == "desc", self.after, self.before)


class RankingOptions(BaseModel):
    """Which passages count, and whether a reranker orders them, where the settings name one."""

    ranker: Literal["none", "auto", "default-2024-11-15"] = "auto"
    score_threshold: float = Field(0, ge=0, le=1)


class StoreSearchRequest(BaseModel):
    """What is searched for, among which files. `model` rewrites the query, else the settings' default base."""

    query: Query | Annotated[list[Query], Field(min_length=1, max_length=MOST_QUERIES)]
    filters: Filter | None = None
    max_num_results: int = Field(10, ge=1, le=MOST_RESULTS)
    ranking_options: RankingOptions = RankingOptions()
    rewrite_query: bool = False
    model: str | None = Field(None, max_length=MAX_NAME_CHARACTERS)

    @property
    def queries(self) -> list[str]:
        """One or several."""
        return [self.query] if isinstance(self.query, str) else self.query


@router.post("", operation_id="createVectorStore")
async def create(
    request: Annotated[VectorStoreRequest, Depends(json_body(VectorStoreRequest))],
    services: ServicesDep,
    caller: CallerDep,
) -> dict[str, Any]:
    """An empty one, or one into which files are coming."""
    require_chunking(services.settings, request.chunking_strategy)
    await require_files(services, caller, request.file_ids)
    made = await services.vector_stores.create(
        request.name or "",
        request.metadata or {},
        request.expires_after_days,
        [Wanted(one) for one in request.file_ids],
    )
    return store_object(made)


@router.get("", operation_id="listVectorStores")
async def list_stores(
    request: Annotated[StoresRequest, Depends(query(StoresRequest))], services: ServicesDep
) -> dict[str, Any]:
    """Every collection is one, those of models too."""
    found, has_more = await services.vector_stores.page(request.part())
    return page([store_object(one) for one in found], has_more)


@router.get("/{vector_store_id}", operation_id="getVectorStore")
async def retrieve(vector_store_id: str, services: ServicesDep) -> dict[str, Any]:
    """One of them."""
    return store_object(await services.vector_stores.get(vector_store_id))


@router.post("/{vector_store_id}", operation_id="modifyVectorStore")
async def update(
    vector_store_id: str,
    request: Annotated[
        NotedRequest, Depends(json_body(NotedRequest, nulls=("metadata", "expires_after")))
    ],
    services: ServicesDep,
) -> dict[str, Any]:
    """Note something else of it. A null takes `metadata` and `expires_after` away."""
    return store_object(await services.vector_stores.update(vector_store_id, request.changes()))


@router.delete("/{vector_store_id}", operation_id="deleteVectorStore")
async def delete(vector_store_id: str, services: ServicesDep) -> dict[str, Any]:
    """Delete it with its documents; the files that they came from stay."""
    gone = await services.vector_stores.delete(vector_store_id)
    return {"id": gone.id, "object": "vector_store.deleted", "deleted": True}


@router.post("/{vector_store_id}/search", operation_id="searchVectorStore")
async def search(
    vector_store_id: str,
    http: Request,
    request: Annotated[StoreSearchRequest, Depends(json_body(StoreSearchRequest))],
    services: ServicesDep,
    caller: CallerDep,
) -> dict[str, Any]:
    """The pages that fit best, each by its best passage."""
    ranking = request.ranking_options
    sources = await services.vector_stores.sources(
        [vector_store_id],
        request.filters,
        least=ranking.score_threshold,
        rerank=ranking.ranker != "none",
    )
    rephrase_by = await _rewriting_model(services, caller, request)
    work = services.vector_stores.search(
        sources,
        request.queries,
        request.max_num_results,
        filter=request.filters,
        rephrase_by=rephrase_by,
    )
    found = await while_connected(http, work)
    return {
        "object": "vector_store.search_results.page",
        "search_query": found.queries,
        "data": [passage_object(one) for one in found.passages],
        "has_more": False,
        "next_page": None,
    }


async def require_files(services: Services, caller: CallerDep, file_ids: list[str]) -> None:
    """Files that the key may have to do with; `errors.NotFound` for one that is not there."""
    for file_id in file_ids:
        require_purpose(caller, (await services.files.get(file_id)).purpose)


async def _rewriting_model(
    services: Services, caller: CallerDep, request: StoreSearchRequest
) -> ModelInfo | None:
    if not request.rewrite_query:
        return None
    name = request.model or services.settings.default_base_model
    require_models(caller, name)
    return await asked_model(services, name)
