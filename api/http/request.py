"""Annotated dependencies of the routes: the services, and one request from query, form or JSON."""

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel
from starlette.datastructures import UploadFile

from api.auth.callers import ANYONE, CALLER, Caller
from api.auth.opening import Auth
from api.errors import InvalidOption, ModelNotFound, NotOpened, NotReady, TooLarge
from api.http.multipart import MAX_FILES
from api.http.observe import seen
from api.http.request_body import Body, invalid, query_pairs, read_body
from api.http.request_fields import RequestFields
from api.runtime import ModelInfo
from api.services import Services
from api.settings import Settings

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

MODEL_FIELDS = ("model_name", "base_model")
"""Fields of requests that name a model."""
FILES_AT_ONCE = 4
"""As many times the bytes of an upload may many files have together."""


def at_once(get: Callable[[Request], T]) -> Callable[[Request], Awaitable[T]]:
    """`get` as a dependency that is run where it is asked for: one that is no coroutine costs each request a thread."""

    async def given(request: Request) -> T:
        return get(request)

    return given


def get_services(request: Request) -> Services:
    """What `app.py` wired, as the first workspace sees it; `errors.NotReady` while it still does, `errors.NotOpened`
    when it could not.
    """
    services: Services | None = request.app.state.services
    if services is None:
        readiness = request.app.state.readiness
        if readiness.has_failed:
            raise NotOpened(readiness.opening)
        raise NotReady(f"The service {readiness.opening}; `/readyz` says how far it is.")
    return services


def get_caller(request: Request) -> Caller:
    """Whom the gate let in; before an app without a gate stands no one who could be refused."""
    caller: Caller = getattr(request.state, CALLER, ANYONE)
    return caller


CallerDep = Annotated[Caller, Depends(at_once(get_caller))]


def get_callers_services(request: Request) -> Services:
    """The same as the workspace of the caller sees them: nothing of another workspace is found in them."""
    return get_services(request).of(get_caller(request).workspace)


ServicesDep = Annotated[Services, Depends(at_once(get_callers_services))]


def require_models(caller: Caller, *names: str | None) -> None:
    """What a key may not use is not there: `errors.ModelNotFound` names only the models that it may."""
    for name in names:
        if name and caller.models is not None and not caller.may_use(name):
            raise ModelNotFound(name, sorted(caller.models))


def default_of(settings: Settings, where: str) -> str:
    """The model that is asked where none is named; `errors.InvalidOption` where the settings name none either."""
    if not settings.default_model:
        raise InvalidOption(
            f"{where}: Required: name a model. LLM_FASTAPI_DEFAULT_MODEL, which names one for requests that do not, is "
            "not set.",
            where=where,
        )
    return settings.default_model


def default_for(caller: Caller, services: Services) -> str:
    """The same for a request that may do without a model, which a key must be allowed too."""
    name = default_of(services.settings, "modelName")
    require_models(caller, name)
    return name


async def asked_model(services: Services, name: str, *, over_documents: bool = False) -> ModelInfo:
    """The model that a request is put to, found once; the log tells it whatever comes of the request."""
    model = await services.answers.model(name, over_documents=over_documents)
    seen().model = model.name
    return model


def get_auth(request: Request) -> Auth:
    """Keys, limits and usage; they are there before the services are."""
    auth: Auth = request.app.state.auth
    return auth


AuthDep = Annotated[Auth, Depends(at_once(get_auth))]


@dataclass(frozen=True, slots=True)
class Upload(Generic[M]):
    """A request with files: its values and its file parts by name, or all of them where one part may come often."""

    values: M
    files: Mapping[str, UploadFile]
    all: Sequence[UploadFile] = ()


def request_model(
    model: type[M],
    *,
    files: Iterable[str] = (),
    optional_files: Iterable[str] = (),
    most_files: int = 0,
    more_bytes: int = 0,
    default_base: Literal["default_base_model", "default_trainable_model"] | None = None,
    default_model: bool = False,
) -> Callable[[Request], AsyncIterator[Any]]:
    """A dependency that gives `model` from query, form (urlencoded or multipart) or JSON body.

    The query may stand beside either; an empty text or part and a JSON null are as left out. With
    `files` it gives `Upload[model]`, whose parts are closed after the response; where the model has a field of
    a file's name, a text does as well. With `most_files` the one part of `files` may come so often, and together have
    the bytes of `FILES_AT_ONCE` uploads. `more_bytes` is the room beyond that of other bodies. `default_base` is the
    setting that names the base where the request names none: a key must be allowed that one too. With `default_model`
    the field `model_name` may be left out where the settings name a model for that. Write
    `openapi_extra=documented(model)` on the route, so that OpenAPI shows the fields.
    """
    fields = RequestFields(model)
    parts = (*files, *optional_files)
    texts = {name for name in parts if name in model.model_fields}
    needed = {name for name in files if name not in texts}

    async def read(request: Request) -> AsyncIterator[Any]:
        settings = get_services(request).settings
        body = await read_body(
            request,
            max_bytes=settings.max_body_bytes + more_bytes,
            max_file_bytes=settings.max_upload_bytes
            * (FILES_AT_ONCE if most_files else len(parts)),
            max_files=most_files or MAX_FILES,
            needed_file=min(needed, default=""),
        )
        try:
            said = [pair for pair in body.pairs if pair[0] in texts or pair[0] not in parts]
            given = {name for name, text in [*query_pairs(request), *said] if text}
            given |= {name for name, value in body.members.items() if value}
            uploads = _file_parts(
                body, parts, texts, settings.max_upload_bytes, may_repeat=bool(most_files)
            )
            _require_given(files, uploads, given & texts, texts)
            values = fields.parse([query_pairs(request), said], body.members)
            if default_model and not getattr(values, "model_name", ""):
                values = values.model_copy(update={"model_name": default_of(settings, "modelName")})
            seen().named = getattr(values, "model_name", None)
            named = [getattr(values, name, None) for name in MODEL_FIELDS]
            if default_base and not named[-1]:
                named.append(getattr(settings, default_base))
            require_models(get_caller(request), *named)
            yield Upload(values, uploads, [one for _, one in body.files]) if parts else values
        finally:
            await body.close()

    return read


def _file_parts(
    body: Body,
    known: Collection[str],
    texts: Collection[str],
    max_bytes: int,
    *,
    may_repeat: bool,
) -> dict[str, UploadFile]:
    uploads: dict[str, UploadFile] = {}
    for name, file in body.files:
        if name not in known:
            parts = f"There is no such file part. Known are: {', '.join(known)}."
            raise invalid(name, parts if known else "No file is taken here.")
        if name in uploads and not may_repeat:
            raise invalid(name, "One file is taken here, and more than one part has this name.")
        if not file.filename:
            raise invalid(name, "The file has no name.")
        if (file.size or 0) > max_bytes:
            raise TooLarge(f"The file may have {max_bytes} bytes.", limit_bytes=max_bytes)
        uploads[name] = file
    for name, text in body.pairs:
        if name in known and name not in texts and text:
            reason = (
                f"This part must be a file. To send one write an @ before its name: -F {name}=@FILE"
            )
            raise invalid(name, reason)
    return uploads


def _require_given(
    required: Iterable[str], uploads: Collection[str], given: set[str], texts: Collection[str]
) -> None:
    """Each file that is required is there, or a text in its place; none is given as both."""
    if twice := given.intersection(uploads):
        raise invalid(min(twice), "Given twice: as a file and as a text.")
    if missing := [name for name in required if name not in uploads and name not in given]:
        other = ", or as a text the id of one that is here" if missing[0] in texts else ""
        raise invalid(
            missing[0], f"The file is missing: send it as a part of multipart/form-data{other}."
        )
