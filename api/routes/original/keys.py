"""keys: create, list, get, change, rotate, revoke."""

from dataclasses import asdict
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth.callers import Scope
from api.auth.keys import MOST, MOST_GRACE_SECONDS, KeyCatalog, Wanted
from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import AuthDep, CallerDep, request_model
from api.store.keys import Key

router = APIRouter(prefix="/keys", tags=["keys"])

KeyId = Annotated[
    str, Path(alias="id", description="The key's id.", examples=["key_0123456789abcdef"])
]


class KeyFields(BaseModel):
    """What a key may do, and how much."""

    model_config = ConfigDict(extra="forbid")

    scopes: list[Scope] | None = Field(
        None,
        description="`use` asks and imports, `train` fine-tunes, `metrics` reads figures, `admin` does everything. "
        "Of a new key `use`, when left out.",
        examples=[["use", "train"]],
    )
    models: list[str] | None = Field(
        None, description="Models that it may use; all when left out.", examples=[["demo"]]
    )
    expires: str | None = Field(
        None,
        max_length=40,
        description="When it ends: `30d`, `12h`, a time as ISO 8601, or `never`.",
        examples=["30d"],
    )
    requests_per_minute: int | None = Field(
        None, ge=0, le=MOST, description="0: no limit.", examples=[60]
    )
    tokens_per_minute: int | None = Field(
        None, ge=0, le=MOST, description="Of prompts and answers; 0: no limit.", examples=[100_000]
    )
    parallel_requests: int | None = Field(
        None, ge=0, le=MOST, description="At once; 0: no limit.", examples=[4]
    )


class CreateKeyRequest(KeyFields):
    """A new key: whose it is, what it may do, and how much."""

    alias: str = Field(
        max_length=100, description="Whose it is; the log calls it so.", examples=["n8n"]
    )
    workspace: str | None = Field(
        None,
        max_length=40,
        description="Whose things it sees; your own when left out.",
        examples=["sales"],
    )


class ChangeKeyRequest(KeyFields):
    """What is to be different; what is left out stays. `models=*` allows all of them again."""

    alias: str | None = Field(None, max_length=100, description="Whose it is.", examples=["n8n"])
    blocked: bool | None = Field(None, description="A blocked key is kept, and does not open.")


class RotateKeyRequest(BaseModel):
    """How long the former text goes on to open."""

    model_config = ConfigDict(extra="forbid")

    grace_seconds: int = Field(
        0,
        ge=0,
        le=MOST_GRACE_SECONDS,
        description="The former text opens so long; 0 ends it at once.",
    )


class KeyResponse(BaseModel):
    """One key, without its text."""

    id: str
    alias: str
    workspace: str
    prefix: str = Field(description="The first characters of its text.")
    last_four: str = Field(description="The last ones.")
    scopes: list[Scope]
    models: list[str] | None = Field(description="Models that it may use; null: all.")
    expires_at: str | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    parallel_requests: int | None
    blocked: bool
    created_at: str
    last_used_at: str | None
    former_until: str | None = Field(description="How long its text before a rotation opens.")


class NewKeyResponse(KeyResponse):
    """One key with its text."""

    key: str = Field(description="The text of the key: shown this once.")


class ListKeysResponse(BaseModel):
    """Keys, the oldest first."""

    keys: list[KeyResponse]


class RevokeKeyResponse(BaseModel):
    """What was revoked."""

    message: str
    id: str


async def get_catalog(auth: AuthDep, caller: CallerDep) -> KeyCatalog:
    """The keys that the caller may manage."""
    return auth.catalog.of(caller)


CatalogDep = Annotated[KeyCatalog, Depends(get_catalog)]


@router.post(
    "",
    operation_id="create_key",
    status_code=201,
    summary="Make a key",
    responses=problems(409, 422),
    openapi_extra=documented(CreateKeyRequest),
)
async def create_key(
    request: Annotated[CreateKeyRequest, Depends(request_model(CreateKeyRequest))],
    catalog: CatalogDep,
    auth: AuthDep,
    response: Response,
) -> NewKeyResponse:
    """Its text is in this answer and nowhere else. From the first key on, every call needs one.

    Without LLM_FASTAPI_API_KEY the first one must be an admin of the first workspace, and the last such one stays.
    """
    key, text = await anyio.to_thread.run_sync(catalog.create, _wanted(request))
    await auth.keyring.refresh()
    response.headers["Location"] = f"/keys/{key.id}"
    return NewKeyResponse(**_shown(key), key=text)


@router.get("", operation_id="list_keys", summary="List the keys", responses=problems())
async def list_keys(catalog: CatalogDep) -> ListKeysResponse:
    """An admin of the first workspace sees all, any other those of its own workspace."""
    keys = await anyio.to_thread.run_sync(catalog.all)
    return ListKeysResponse(keys=[KeyResponse(**_shown(key)) for key in keys])


@router.get("/{id}", operation_id="get_key", summary="One key", responses=problems(404, 422))
async def get_key(id: KeyId, catalog: CatalogDep) -> KeyResponse:
    """What it may do, how much, and when it was used last."""
    return KeyResponse(**_shown(await anyio.to_thread.run_sync(catalog.get, id)))


@router.patch(
    "/{id}",
    operation_id="change_key",
    summary="Change a key, or block it",
    responses=problems(404, 409, 422),
    openapi_extra=documented(ChangeKeyRequest),
)
async def change_key(
    id: KeyId,
    request: Annotated[ChangeKeyRequest, Depends(request_model(ChangeKeyRequest))],
    catalog: CatalogDep,
    auth: AuthDep,
) -> KeyResponse:
    """Its text stays; what is said holds from the next request on."""
    key = await anyio.to_thread.run_sync(catalog.change, id, _wanted(request))
    await auth.keyring.refresh()
    return KeyResponse(**_shown(key))


@router.post(
    "/{id}/rotate",
    operation_id="rotate_key",
    summary="Give a key a new text",
    responses=problems(404, 422),
    openapi_extra=documented(RotateKeyRequest),
)
async def rotate_key(
    id: KeyId,
    request: Annotated[RotateKeyRequest, Depends(request_model(RotateKeyRequest))],
    catalog: CatalogDep,
    auth: AuthDep,
) -> NewKeyResponse:
    """Id, limits and usage stay; the former text ends at once, or after a grace."""
    key, text = await anyio.to_thread.run_sync(catalog.rotate, id, request.grace_seconds)
    await auth.keyring.refresh()
    return NewKeyResponse(**_shown(key), key=text)


@router.delete(
    "/{id}", operation_id="revoke_key", summary="Revoke a key", responses=problems(404, 409, 422)
)
async def revoke_key(id: KeyId, catalog: CatalogDep, auth: AuthDep) -> RevokeKeyResponse:
    """It opens nothing any more; what was used with it stays at `/usage`."""
    key = await anyio.to_thread.run_sync(catalog.revoke, id)
    await auth.keyring.refresh()
    return RevokeKeyResponse(message=f"{key.alias!r} is revoked.", id=key.id)


def _wanted(request: BaseModel) -> Wanted:
    return Wanted(**request.model_dump())


def _shown(key: Key) -> dict[str, Any]:
    return {name: value for name, value in asdict(key).items() if name in KeyResponse.model_fields}
