"""Which path needs which scope, in one table; and which models a key may name."""

import contextlib
from collections.abc import Mapping

from fastapi import Request

from api.auth.callers import Caller, Scope
from api.auth.refusals import ScopeMissing
from api.errors import ModelNotFound
from api.http.request import get_caller, require_models
from api.services import Services

SCOPES: Mapping[str, Scope | None] = {
    "/healthz": None,
    "/readyz": None,
    "/docs": None,
    "/usage": None,
    "/keys": "admin",
    "/shared": "admin",
    "/backends": "admin",
    "/metrics": "metrics",
    "/fine_tune_model": "train",
    "/adapters": "train",
    "/datasets": "train",
    "/jobs": "train",
    "/sweeps": "train",
    "/v1/fine_tuning": "train",
    "/v1/files": None,
    "/v1/uploads": None,
    "/createModel": "use",
    "/list_models": "use",
    "/show_model": "use",
    "/deleteModel": "use",
    "/collections": "use",
    "/documents": "use",
    "/list_documents": "use",
    "/importDocument": "use",
    "/importDocuments": "use",
    "/delete_document": "use",
    "/deleteAll_Documents": "use",
    "/generate": "use",
    "/search": "use",
    "/implement": "use",
    "/sql": "use",
    "/analyze": "use",
    "/complete": "use",
    "/embed": "use",
    "/models": "use",
    "/evaluations": "use",
    "/tables": "use",
    "/databases": "use",
    "/predict": "use",
    "/mcp": "use",
    "/v1/vector_stores": "use",
    "/v1": "use",
}
"""The scope of all that is below a path; None: any key, or none where the gate lets everybody in."""
MODELS_IN_PATHS = ("modelName", "model")


def listed(path: str) -> str | None:
    """The entry that a path stands under: the longest one."""
    parts = path.split("/")
    folders = ("/".join(parts[:length]) for length in range(len(parts), 1, -1))
    return next((one for one in folders if one in SCOPES), None)


async def require_scope(request: Request) -> None:
    """A dependency of every route: the caller's key has the scope of its path, and may use the model in it.

    The path has been matched by now, and stands there as the routes spell it.
    """
    entry = listed(request.scope["path"])
    needed = SCOPES[entry] if entry else "admin"
    if needed is None:
        return
    caller = get_caller(request)
    if not caller.may(needed):
        raise ScopeMissing(
            f"This key lacks the scope {needed!r}, which {request.method} {entry} needs. An admin can add it.",
            scope=needed,
        )
    named = (request.path_params.get(name) for name in MODELS_IN_PATHS)
    require_models(caller, *(name.replace("%2F", "/") for name in named if name))


async def require_admin_for_base(name: str, services: Services, caller: Caller) -> None:
    """Every workspace builds on a base model, and its weights may be hard to come by again: an admin deletes it."""
    if caller.may("admin"):
        return
    with contextlib.suppress(ModelNotFound):  # of no list: it may be damaged
        if (await services.models.show(name)).kind == "base":
            raise ScopeMissing(
                f"{name!r} is a base model, which others build on: only an admin deletes it.",
                scope="admin",
            )
