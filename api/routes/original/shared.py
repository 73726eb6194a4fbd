"""shared: models and collections of the first workspace that all others may use."""

from fastapi import APIRouter, Depends

from api.auth.refusals import ScopeMissing
from api.http.problems import problems
from api.http.request import ServicesDep
from api.names import WORKSPACE
from api.routes.original.collections import CollectionResponse, IdOrName, response_of
from api.routes.original.models import ExistingName, ModelSummary, summary_of


async def require_first(services: ServicesDep) -> None:
    """What stands before all workspaces is for an admin of the first one to decide."""
    if services.workspace != WORKSPACE:
        raise ScopeMissing(
            f"Only an admin of the workspace {WORKSPACE!r} shares, and only what that has.",
            scope="admin",
        )


router = APIRouter(prefix="/shared", tags=["shared"], dependencies=[Depends(require_first)])


@router.put(
    "/models/{modelName:path}",
    operation_id="share_model",
    summary="Let every workspace use a model",
    responses=problems(403, 404, 409, 422),
)
async def share_model(model_name: ExistingName, services: ServicesDep) -> ModelSummary:
    """A persona or a fine-tune of `default`. No other workspace can change or delete it; made anew it is not shared."""
    return ModelSummary(**summary_of(await services.models.share(model_name, shared=True)))


@router.delete(
    "/models/{modelName:path}",
    operation_id="unshare_model",
    summary="Keep a model to its workspace again",
    responses=problems(403, 404, 409, 422),
)
async def unshare_model(model_name: ExistingName, services: ServicesDep) -> ModelSummary:
    """From the answer on no other workspace finds it; what was built on it stays."""
    return ModelSummary(**summary_of(await services.models.share(model_name, shared=False)))


@router.put(
    "/collections/{collection:path}",
    operation_id="share_collection",
    summary="Let every workspace search a collection",
    responses=problems(403, 404, 422),
)
async def share_collection(collection: IdOrName, services: ServicesDep) -> CollectionResponse:
    """A collection of `default`, `*` too: others search it, ask it and cite it, and cannot change it."""
    return response_of(await services.collections.share(collection, shared=True))


@router.delete(
    "/collections/{collection:path}",
    operation_id="unshare_collection",
    summary="Keep a collection to its workspace again",
    responses=problems(403, 404, 422),
)
async def unshare_collection(collection: IdOrName, services: ServicesDep) -> CollectionResponse:
    """From the answer on no other workspace finds it. A shared model that answers from it is refused there (409)."""
    return response_of(await services.collections.share(collection, shared=False))
