"""backends: list, make, look at, change, delete."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth.refusals import ScopeMissing
from api.backends import Named, Shown
from api.backends.catalogue import BackEnds
from api.backends.launch import Launch
from api.backends.wanted import Change
from api.errors import InvalidOption
from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import CallerDep, ServicesDep, request_model
from api.names import WORKSPACE
from api.routes.original.dialects import DialectFields
from api.routes.original.launching import (
    ServerFields,
    ServerResponse,
    launch_of,
    server_response,
)
from api.runtime.openai_style.client import Bounds

router = APIRouter(prefix="/backends", tags=["back ends"])

MOST_CONTEXT = 2**24
DAY_SECONDS = 86_400
_LIMITS = ("max_concurrency", "max_queued")

BackEndName = Annotated[
    str,
    Path(
        description="The back end's name: small letters, digits and single dashes.",
        pattern=r"^[a-z0-9](-?[a-z0-9]){0,39}$",
        examples=["cellar"],
    ),
]


Remote = Annotated[
    str, Field(min_length=1, max_length=200, description="Its name there.", examples=["gpt-5"])
]


class NamedModel(BaseModel):
    """A model by the name that its back end has for it."""

    model_config = ConfigDict(extra="forbid")

    remote: Remote
    context_length: int | None = Field(
        None, ge=16, le=MOST_CONTEXT, description="Tokens, where the server does not tell."
    )
    capabilities: list[Literal["chat", "json_schema", "tools", "images", "embed"]] | None = Field(
        None, description="What it can: chat and what its provider can, when left out."
    )


class BackEndFields(BaseModel):
    """Where a server is, what of it is named here, and how much is asked of it."""

    model_config = ConfigDict(extra="forbid")

    provider: str | None = Field(
        None, max_length=40, description="A row of the table in the documentation; `generic`."
    )
    base_url: str | None = Field(
        None,
        max_length=2000,
        description="What stands before `/chat/completions`; the provider's own when left out.",
        examples=["http://192.168.0.7:8000/v1"],
    )
    launch: Literal["process", "ray"] | None = Field(
        None, description="Instead of `base_url`: `process` starts `server` here."
    )
    server: ServerFields | None = Field(None, description="What is started, and ends with us.")
    models: dict[str, Remote | NamedModel] | None = Field(
        None,
        max_length=500,
        description="By our names: theirs, or more of each. Of a change: all of them.",
        examples=[{"big": "gpt-5"}],
    )
    key: str | None = Field(
        None, max_length=4096, description="Kept in a file, and never told again."
    )
    key_env: str | None = Field(
        None,
        max_length=100,
        description="Instead: the variable of the service's environment that holds it.",
        examples=["OPENAI_API_KEY"],
    )
    dialect: DialectFields | None = None
    max_concurrency: int | None = Field(None, ge=1, le=10_000, description="Answers at once: 8.")
    max_queued: int | None = Field(
        None, ge=0, le=100_000, description="That may wait: 100; then 429 with Retry-After."
    )
    retries: int | None = Field(
        None,
        ge=0,
        le=10,
        description="Before the first byte, after 408, 429, 5xx and no answer: 3.",
    )
    connect_seconds: float | None = Field(None, gt=0, le=300, description="10.")
    first_token_seconds: float | None = Field(None, gt=0, le=DAY_SECONDS, description="120.")
    idle_seconds: float | None = Field(None, gt=0, le=DAY_SECONDS, description="60.")
    total_seconds: float | None = Field(None, gt=0, le=DAY_SECONDS, description="1800.")


class CreateBackEndRequest(BackEndFields):
    """A new back end."""


class ChangeBackEndRequest(BackEndFields):
    """What is to be different; what is left out stays."""


class ModelOfBackEnd(BaseModel):
    """One model of a back end."""

    remote: str
    context_length: int
    capabilities: list[str]


class BackEndResponse(BaseModel):
    """One back end, without its key."""

    name: str
    provider: str
    base_url: str
    models: dict[str, ModelOfBackEnd] = Field(description="By our names.")
    personas: list[str] = Field(description="Models that were made over them.")
    server: ServerResponse | None = Field(description="Of one that is started here.")
    key: str = Field(description="Where it is: `file`, the name of a variable, or `none`.")
    dialect: dict[str, Any] = Field(description="How its wire differs, as it is used.")
    max_concurrency: int
    max_queued: int
    retries: int
    connect_seconds: float
    first_token_seconds: float
    idle_seconds: float
    total_seconds: float
    running: int = Field(description="Answers now.")
    waiting: int
    fault: str | None = Field(description="What was the matter with the last call to it.")
    created_at: str


class ListBackEndsResponse(BaseModel):
    """All back ends, by name."""

    backends: list[BackEndResponse]


class DeleteBackEndResponse(BaseModel):
    """What was deleted."""

    message: str
    name: str


async def get_back_ends(services: ServicesDep, caller: CallerDep) -> BackEnds:
    """The back ends of the installation: an admin of the first workspace has them."""
    if caller.workspace != WORKSPACE:
        raise ScopeMissing(
            f"Back ends are those of all workspaces: ask with a key of {WORKSPACE!r}.",
            scope="admin",
        )
    return services.back_ends


BackEndsDep = Annotated[BackEnds, Depends(get_back_ends)]


@router.get("", operation_id="list_back_ends", summary="List the back ends", responses=problems())
async def list_back_ends(back_ends: BackEndsDep, services: ServicesDep) -> ListBackEndsResponse:
    """With how they do: what was the matter with the last call to each, and how many answers run and wait."""
    shown = [back_ends.show(name, services.turns) for name in back_ends.names()]
    return ListBackEndsResponse(backends=[_response(one) for one in shown])


@router.post(
    "/{name}",
    operation_id="create_back_end",
    status_code=201,
    summary="Name models that run elsewhere",
    responses=problems(409, 422, 503),
    openapi_extra=documented(CreateBackEndRequest),
)
async def create_back_end(
    name: BackEndName,
    request: Annotated[CreateBackEndRequest, Depends(request_model(CreateBackEndRequest))],
    back_ends: BackEndsDep,
    services: ServicesDep,
    response: Response,
) -> BackEndResponse:
    """From then on they are models like all others. A server that does not answer now is `fault` in the answer, and no
    reason against it.
    """
    runtime = services.workspaces.runtime
    fault = await back_ends.create(name, _change(request), runtime)
    response.headers["Location"] = f"/backends/{name}"
    return _response(back_ends.show(name, services.turns), fault)


@router.get(
    "/{name}", operation_id="get_back_end", summary="One back end", responses=problems(404, 422)
)
async def get_back_end(
    name: BackEndName, back_ends: BackEndsDep, services: ServicesDep
) -> BackEndResponse:
    """Where it is, what of it is named here, and how it does."""
    return _response(back_ends.show(name, services.turns))


@router.patch(
    "/{name}",
    operation_id="change_back_end",
    summary="Change a back end",
    responses=problems(404, 409, 422, 503),
    openapi_extra=documented(ChangeBackEndRequest),
)
async def change_back_end(
    name: BackEndName,
    request: Annotated[ChangeBackEndRequest, Depends(request_model(ChangeBackEndRequest))],
    back_ends: BackEndsDep,
    services: ServicesDep,
) -> BackEndResponse:
    """It holds from the next request on; answers that are under way end as they began."""
    fault = await back_ends.change(name, _change(request), services.workspaces.runtime)
    return _response(back_ends.show(name, services.turns), fault)


@router.delete(
    "/{name}",
    operation_id="delete_back_end",
    summary="Delete a back end",
    responses=problems(404, 409, 422),
)
async def delete_back_end(name: BackEndName, back_ends: BackEndsDep) -> DeleteBackEndResponse:
    """Its models are named no more, and its key is gone; what the server has, stays. Personas over it go first, and
    collections that it embeds.
    """
    await back_ends.delete(name)
    return DeleteBackEndResponse(message=f"{name} is deleted.", name=name)


def _change(request: BackEndFields) -> Change:
    values = request.model_dump(exclude_none=True)
    dialect: dict[str, Any] | None = None
    if request.dialect is not None:
        dialect = request.dialect.model_dump(mode="json", exclude_none=True)
    if dialect and "answers" in dialect:
        dialect["schema"] = dialect.pop("answers")
    return Change(
        provider=request.provider,
        base_url=request.base_url,
        models=None if request.models is None else _models(request.models),
        key=request.key,
        key_env=request.key_env,
        overrides=dialect,
        bounds={one.name: values[one.name] for one in fields(Bounds) if one.name in values},
        limits={name: values[name] for name in _LIMITS if name in values},
        launch=_launch(request),
    )


def _launch(request: BackEndFields) -> Launch | None:
    if request.launch == "ray":
        raise InvalidOption(
            "launch: Ray Serve is not spoken to yet. Start the application there, and name its base_url.",
            where="launch",
        )
    if request.launch and request.server is None:
        raise InvalidOption("server: say what is to be started.", where="server")
    return launch_of(request.server)


def _models(models: Mapping[str, str | NamedModel]) -> dict[str, Named]:
    return {
        name: Named(one)
        if isinstance(one, str)
        else Named(
            one.remote,
            one.context_length or 0,
            None if one.capabilities is None else frozenset(one.capabilities),
        )
        for name, one in models.items()
    }


def _response(shown: Shown, fault: str = "") -> BackEndResponse:
    back_end = shown.back_end
    declared = {
        one.name: ModelOfBackEnd(
            remote=one.remote,
            context_length=one.context_length,
            capabilities=sorted(one.capabilities),
        )
        for one in shown.models
        if not one.base
    }
    dialect = asdict(shown.dialect) | {"takes": sorted(shown.dialect.takes)}
    return BackEndResponse(
        name=back_end.name,
        provider=back_end.provider,
        base_url=back_end.base_url,
        models=declared,
        personas=[one.name for one in shown.models if one.base],
        server=server_response(back_end.launch, shown.server),
        key=shown.key,
        dialect=dialect,
        max_concurrency=back_end.max_concurrency,
        max_queued=back_end.max_queued,
        **asdict(back_end.bounds),
        running=shown.running,
        waiting=shown.waiting,
        fault=fault or shown.fault or None,
        created_at=back_end.created_at,
    )
