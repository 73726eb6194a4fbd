"""/v1/vector_stores/{vector_store_id}/files and file_batches: files come into a store, are looked at, and go."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from api.http.openai_errors import PREFIX
from api.http.request import CallerDep, ServicesDep
from api.routes.openai.body import json_body, query, refuse
from api.routes.openai.pages import page
from api.routes.openai.vector_store_objects import (
    Attributes,
    Chunking,
    FileId,
    FileRequest,
    batch_object,
    file_object,
    require_chunking,
)
from api.routes.openai.vector_stores import StoresRequest, require_files
from api.store.collection_files import FileStatus
from api.vector_stores.files import Wanted

router = APIRouter(prefix=PREFIX + "/vector_stores/{vector_store_id}")

MOST_FILES = 2000


class FilesRequest(StoresRequest):
    """Which part of the list: of the files in one state where that is named."""

    filter: FileStatus | None = None


class AttributesRequest(BaseModel):
    """What is noted of a file from now on; a null is nothing."""

    attributes: Attributes | None


class BatchRequest(BaseModel):
    """Files by their ids alone, or each with its own attributes."""

    file_ids: list[FileId] | None = Field(None, min_length=1, max_length=MOST_FILES)
    files: list[FileRequest] | None = Field(None, min_length=1, max_length=MOST_FILES)
    attributes: Attributes | None = None
    chunking_strategy: Chunking | None = None

    def wanted(self) -> list[Wanted]:
        """Each file with its attributes; the ones for all go with `file_ids`."""
        if (self.file_ids is None) == (self.files is None):
            raise refuse("file_ids", "Give either `file_ids` or `files`.")
        if self.files is not None:
            return [Wanted(one.file_id, one.attributes) for one in self.files]
        return [Wanted(one, self.attributes) for one in self.file_ids or ()]


@router.post("/files", operation_id="createVectorStoreFile")
async def create(
    vector_store_id: str,
    request: Annotated[FileRequest, Depends(json_body(FileRequest))],
    services: ServicesDep,
    caller: CallerDep,
) -> dict[str, Any]:
    """A file comes into the store; the answer does not wait for it."""
    await services.vector_stores.files.require_place(vector_store_id)
    require_chunking(services.settings, request.chunking_strategy)
    await require_files(services, caller, [request.file_id])
    wanted = Wanted(request.file_id, request.attributes)
    file = await services.vector_stores.files.add(vector_store_id, wanted)
    return file_object(file, services.settings)


@router.get("/files", operation_id="listVectorStoreFiles")
async def list_files(
    vector_store_id: str,
    request: Annotated[FilesRequest, Depends(query(FilesRequest))],
    services: ServicesDep,
) -> dict[str, Any]:
    """Its files, and the documents that came on the other paths, by their own ids."""
    files = services.vector_stores.files
    found, has_more = await files.page(vector_store_id, request.part(), request.filter)
    return page([file_object(one, services.settings) for one in found], has_more)


@router.get("/files/{file_id}", operation_id="getVectorStoreFile")
async def retrieve(vector_store_id: str, file_id: str, services: ServicesDep) -> dict[str, Any]:
    """One of them, and how it fares."""
    file = await services.vector_stores.files.get(vector_store_id, file_id)
    return file_object(file, services.settings)


@router.post("/files/{file_id}", operation_id="updateVectorStoreFileAttributes")
async def update(
    vector_store_id: str,
    file_id: str,
    request: Annotated[
        AttributesRequest, Depends(json_body(AttributesRequest, nulls=("attributes",)))
    ],
    services: ServicesDep,
) -> dict[str, Any]:
    """Note other attributes of it, in the place of all that it had."""
    file = await services.vector_stores.files.set_attributes(
        vector_store_id, file_id, request.attributes or {}
    )
    return file_object(file, services.settings)


@router.delete("/files/{file_id}", operation_id="deleteVectorStoreFile")
async def delete(vector_store_id: str, file_id: str, services: ServicesDep) -> dict[str, Any]:
    """Take it out of the store; the file itself stays."""
    gone = await services.vector_stores.files.remove(vector_store_id, file_id)
    return {"id": gone.file_id, "object": "vector_store.file.deleted", "deleted": True}


@router.get("/files/{file_id}/content", operation_id="retrieveVectorStoreFileContent")
async def content(vector_store_id: str, file_id: str, services: ServicesDep) -> dict[str, Any]:
    """What was read of it, page by page."""
    pages = await services.vector_stores.files.pages(vector_store_id, file_id)
    return {
        "object": "vector_store.file_content.page",
        "data": [
            {"type": "text", "text": one.text, "page": one.number, "label": one.label}
            for one in pages
        ],
        "has_more": False,
        "next_page": None,
    }


@router.post("/file_batches", operation_id="createVectorStoreFileBatch")
async def create_batch(
    vector_store_id: str,
    request: Annotated[BatchRequest, Depends(json_body(BatchRequest))],
    services: ServicesDep,
    caller: CallerDep,
) -> dict[str, Any]:
    """Many files come into the store."""
    await services.vector_stores.files.require_place(vector_store_id)
    require_chunking(services.settings, request.chunking_strategy)
    for number, one in enumerate(request.files or ()):
        require_chunking(services.settings, one.chunking_strategy, f"files.{number}.")
    wanted = request.wanted()
    await require_files(services, caller, [one.file_id for one in wanted])
    return batch_object(await services.vector_stores.files.add_batch(vector_store_id, wanted))


@router.get("/file_batches/{batch_id}", operation_id="getVectorStoreFileBatch")
async def retrieve_batch(
    vector_store_id: str, batch_id: str, services: ServicesDep
) -> dict[str, Any]:
    """How its files fare."""
    return batch_object(await services.vector_stores.files.batch(vector_store_id, batch_id))


@router.post("/file_batches/{batch_id}/cancel", operation_id="cancelVectorStoreFileBatch")
async def cancel_batch(
    vector_store_id: str, batch_id: str, services: ServicesDep
) -> dict[str, Any]:
    """Those of its files that have not come yet do not come."""
    return batch_object(await services.vector_stores.files.cancel_batch(vector_store_id, batch_id))


@router.get("/file_batches/{batch_id}/files", operation_id="listFilesInVectorStoreBatch")
async def list_batch(
    vector_store_id: str,
    batch_id: str,
    request: Annotated[FilesRequest, Depends(query(FilesRequest))],
    services: ServicesDep,
) -> dict[str, Any]:
    """Its files, as far as they are in the store."""
    files = services.vector_stores.files
    part, status = request.part(), request.filter
    found, has_more = await files.batch_page(vector_store_id, batch_id, part, status)
    return page([file_object(one, services.settings) for one in found], has_more)
