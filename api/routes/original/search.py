"""search: the passages that an answer would be made from, without one."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import CallerDep, ServicesDep, asked_model, default_for, request_model
from api.http.sse import while_connected
from api.rag.fuse import Found
from api.routes.original.fields import MODEL_NAME, Name, Text

router = APIRouter(tags=["generate"])


class SearchRequest(BaseModel):
    """What to look for in which documents."""

    model_config = ConfigDict(extra="forbid")

    query: Text = Field(description="What to look for.", examples=["warranty period"])
    model_name: Name = Field(
        "",
        validation_alias=MODEL_NAME,
        description="The model whose documents are searched; that of the settings where neither it nor `collection` is "
        "given.",
        examples=["demo"],
    )
    collection: Name = Field(
        "", description="Where to look instead of among the model's documents, by name or id."
    )
    documents: tuple[Name, ...] = Field(
        (), max_length=1000, description="Only these, by name or id; all when left out."
    )
    limit: int = Field(10, ge=1, le=100, description="Most passages to return.")
    expand: bool = Field(False, description="Search with the model's rephrasings too.")


class FoundPassage(BaseModel):
    """A passage, how well it fits (0..1), and which query found it by meaning or by words."""

    document: str
    document_id: str
    page: int
    label: str = Field(
        description="What the page is called where that is no number: a sheet, a slide's title, a section."
    )
    score: float
    text: str
    found_by: list[Found]


class SearchResponse(BaseModel):
    """Passages, best first."""

    hits: list[FoundPassage]


@router.post(
    "/search",
    operation_id="search",
    summary="Search a model's documents",
    responses=problems(404, 409, 422, 502),
    openapi_extra=documented(SearchRequest),
)
async def search(
    http: Request,
    request: Annotated[SearchRequest, Depends(request_model(SearchRequest))],
    services: ServicesDep,
    caller: CallerDep,
) -> SearchResponse:
    """The passages that `generate` would choose from, without an answer.

    The parameters may come as a form or as JSON too: `{"modelName": "demo", "query": "warranty"}`.
    """
    model = None
    if request.model_name or request.expand or not request.collection:
        name = request.model_name or default_for(caller, services)
        model = await asked_model(services, name, over_documents=True)
    searched = services.answers.search(
        model,
        request.query,
        request.documents,
        request.limit,
        rephrase=request.expand,
        collection=request.collection,
    )
    hits = await while_connected(http, searched)
    return SearchResponse(
        hits=[
            FoundPassage(
                document=hit.document,
                document_id=hit.document_id,
                page=hit.page,
                label=hit.label,
                score=hit.score,
                text=hit.text,
                found_by=list(hit.found_by),
            )
            for hit in hits
        ]
    )
