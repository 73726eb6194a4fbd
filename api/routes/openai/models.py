"""GET /v1/models, /v1/models/{model}; DELETE /v1/models/{model}: what can be asked, embedding models too."""

from typing import Any

from fastapi import APIRouter

from api.http.openai_errors import PREFIX
from api.http.request import CallerDep, ServicesDep
from api.models.catalog import Model
from api.names import model_key
from api.routes.openai.body import refuse
from api.routes.scopes import require_admin_for_base

router = APIRouter(prefix=PREFIX + "/models")


@router.get("", operation_id="listModels")
async def all_models(services: ServicesDep, caller: CallerDep) -> dict[str, Any]:
    """All at once, as the clients expect it; those that chat first, for some clients begin with the first one."""
    models = await services.models.all(embedders=True)
    models.sort(key=lambda one: "chat" not in one.info.capabilities)
    seen = [_object(one) for one in models if caller.may_use(one.info.name)]
    return {"object": "list", "data": seen}


@router.get("/{model:path}", operation_id="retrieveModel")
async def retrieve(model: str, services: ServicesDep) -> dict[str, Any]:
    """One model."""
    return _object(await services.models.show(model, embedders=True))


@router.delete("/{model:path}", operation_id="deleteModel")
async def delete(model: str, services: ServicesDep, caller: CallerDep) -> dict[str, Any]:
    """Delete a model; its documents stay, as those that are built on it. A base needs the scope `admin`."""
    await require_admin_for_base(model, services, caller)
    for one in await services.models.all(embedders=True):
        if model_key(one.info.name) == model_key(model) and "chat" not in one.info.capabilities:
            raise refuse("model", f"{one.info.name!r} embeds documents and stays.")
    name = await services.models.delete(model)
    return {"id": name, "object": "model", "deleted": True}


def _object(model: Model) -> dict[str, Any]:
    return {
        "id": model.info.name,
        "object": "model",
        "created": int(model.info.modified_at.timestamp()),
        "owned_by": model.kind,
        **({"shared": True} if model.shared else {}),
    }
