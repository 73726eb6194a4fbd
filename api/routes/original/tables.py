"""tables: add, list, get, delete; and the databases that requests may name."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.datasets.receiving import Upload as TableUpload
from api.errors import ApiError
from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import ServicesDep, Upload, request_model
from api.routes.original.fields import HasMore, Name, PageRequest
from api.tables.databases import Database
from api.tables.databases import Kind as DatabaseKind
from api.tables.reading import FIELD, read_upload
from api.tables.shelf import Table
from api.tables.types import TYPES, Type

router = APIRouter(tags=["tables"])

FILES = {FIELD: "CSV, JSON Lines, JSON, Parquet or XLSX."}
TableName = Annotated[
    str, Path(alias="name", description="The table's name, or its id.", examples=["items"])
]


def _read_types(text: str) -> str:
    wanted_types(text)
    return text


def wanted_types(text: str) -> Mapping[str, Type]:
    """`price:number,zip:text`; a `ValueError` says what is wrong."""
    found: dict[str, Type] = {}
    for part in text.split(","):
        name, colon, said = part.rpartition(":")
        type = next((one for one in TYPES if one == said.strip()), None)
        if not colon or not name.strip() or type is None:
            raise ValueError(f"{part[:40]!r} is no COLUMN:TYPE. Types: {', '.join(TYPES)}.")
        found[name.strip()] = type
    return found


class AddTableRequest(BaseModel):
    """What it is called, and how it is read."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(
        description="What it is called: letters, digits and underscores, in any case.",
        examples=["items"],
    )
    types: Annotated[str, AfterValidator(_read_types)] | None = Field(
        None,
        max_length=100_000,
        description="What columns are, where that is not as it is found out, such as `zip:text,price:number`. The "
        f"types: {', '.join(f'`{one}`' for one in TYPES)}.",
        examples=["zip:text"],
    )
    sheet: Name | None = Field(
        None,
        description="The sheet of an XLSX; else its first one.",
    )
    replace: bool = Field(
        False, description="Take the place of the table of that name, when this one is whole."
    )


class ColumnResponse(BaseModel):
    """A column."""

    name: str
    type: Type


class TableSummary(BaseModel):
    """One table."""

    table_id: str
    name: str
    rows: int
    columns: list[ColumnResponse]
    size_bytes: int = Field(description="Of the Parquet file that it is kept as.")
    created_at: str


class TableResponse(TableSummary):
    """One table with its first rows."""

    made_from: dict[str, Any] = Field(description="The file, the query or the prediction.")
    first_rows: list[dict[str, Any]] = Field(description="The first three; long texts are cut.")


class ListTablesResponse(BaseModel):
    """Tables, newest first."""

    tables: list[TableSummary]
    has_more: HasMore


class DeleteTableResponse(BaseModel):
    """What was deleted."""

    message: str
    table_id: str
    name: str


class DatabaseResponse(BaseModel):
    """A database that requests may name."""

    name: str
    kind: DatabaseKind
    write: bool = Field(description="Whether `/predict` may fill a column of it.")
    statement_seconds: float = Field(description="What a query may take.")
    reachable: bool
    reason: str | None = Field(None, description="Why not.")


class ListDatabasesResponse(BaseModel):
    """The databases that the settings name for this workspace."""

    databases: list[DatabaseResponse]


@router.post(
    "/tables",
    operation_id="add_table",
    status_code=201,
    summary="Upload a table",
    responses=problems(408, 409, 413, 415, 422, 507),
    openapi_extra=documented(AddTableRequest, files=FILES),
)
async def add_table(
    request: Annotated[
        Upload[AddTableRequest], Depends(request_model(AddTableRequest, files=FILES))
    ],
    services: ServicesDep,
    response: Response,
) -> TableResponse:
    """Reads it to its end and shows what each column was found to be; a file that cannot be used is refused with row,
    column and reason.
    """
    file, values = request.files[FIELD], request.values
    upload = TableUpload(file.file, file.filename)
    types = wanted_types(values.types) if values.types else {}
    most_rows = services.settings.max_table_rows
    made = await services.tables.add(
        values.name,
        {"kind": "upload", "file_name": file.filename},
        lambda target: read_upload(upload, target, types, values.sheet, most_rows),
        replaces=values.replace,
    )
    response.headers["Location"] = f"/tables/{made.name}"
    return _response(made)


@router.get(
    "/tables",
    operation_id="list_tables",
    summary="List the tables",
    responses=problems(404, 422),
    openapi_extra=documented(PageRequest),
)
async def list_tables(
    request: Annotated[PageRequest, Depends(request_model(PageRequest))],
    services: ServicesDep,
) -> ListTablesResponse:
    """Newest first."""
    found, has_more = await services.tables.page(request.after, request.limit)
    return ListTablesResponse(tables=[_summary(one) for one in found], has_more=has_more)


@router.get(
    "/tables/{name}", operation_id="get_table", summary="One table", responses=problems(404, 422)
)
async def get_table(name: TableName, services: ServicesDep) -> TableResponse:
    """Its columns and its first rows."""
    return _response(await services.tables.get(name))


@router.delete(
    "/tables/{name}",
    operation_id="delete_table",
    summary="Delete a table",
    responses=problems(404, 422),
)
async def delete_table(name: TableName, services: ServicesDep) -> DeleteTableResponse:
    """Predictions and fine-tunes that were begun with it have their own copy."""
    gone = await services.tables.delete(name)
    return DeleteTableResponse(
        message=f"Successfully deleted {gone.name}", table_id=gone.id, name=gone.name
    )


@router.get("/databases", operation_id="list_databases", summary="List the databases")
async def list_databases(services: ServicesDep) -> ListDatabasesResponse:
    """Those that the settings name for this workspace, and whether each answers now."""
    databases = services.databases
    asked = (partial(_database, one) for one in databases.of(services.workspace))
    found = await asyncio.gather(*(databases.in_thread(one) for one in asked))
    return ListDatabasesResponse(databases=found)


def _database(database: Database) -> DatabaseResponse:
    reason = None
    try:
        database.check()
    except ApiError as error:
        reason = error.detail
    return DatabaseResponse(
        name=database.name,
        kind=database.kind,
        write=database.may_write,
        statement_seconds=database.statement_seconds,
        reachable=reason is None,
        reason=reason,
    )


def _members(table: Table) -> dict[str, Any]:
    columns = [asdict(one) for one in table.columns]
    told = {name: getattr(table, name) for name in ("name", "rows", "size_bytes", "created_at")}
    return {"table_id": table.id, "columns": columns, **told}


def _summary(table: Table) -> TableSummary:
    return TableSummary(**_members(table))


def _response(table: Table) -> TableResponse:
    rows = [dict(one) for one in table.first_rows]
    return TableResponse(**_members(table), made_from=dict(table.made_from), first_rows=rows)
