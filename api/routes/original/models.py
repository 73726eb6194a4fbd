"""createModel, deleteModel, list_models, show_model."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.http.openapi import documented
from api.http.options import GenerationOptions
from api.http.problems import problems
from api.http.request import CallerDep, ServicesDep, request_model
from api.models.catalog import Model
from api.models.lineage import Lineage
from api.routes.original.fields import BASE_MODEL, Name
from api.routes.scopes import require_admin_for_base
from api.runtime import Persona

router = APIRouter(tags=["models"])

ModelName = Annotated[str, Path(description="The model's name.", examples=["ada"])]
ExistingName = Annotated[
    str,
    AfterValidator(lambda name: name.replace("%2F", "/")),
    Path(
        alias="modelName",
        description="The model's name; `NAMESPACE/NAME:TAG` as it is listed.",
        examples=["ada"],
    ),
]


class CreateModelRequest(BaseModel):
    """A persona: a name, a system prompt and defaults over a base model."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    system: str = Field(
        "",
        max_length=100_000,
        description="What the model is told before every conversation.",
        examples=["You are Ada, the assistant of Northwind."],
    )
    base_model: Name | None = Field(
        None,
        validation_alias=BASE_MODEL,
        description="Any model that can chat; the default base when left out.",
        examples=["demo"],
    )
    template: str | None = Field(
        None,
        max_length=100_000,
        description="A chat template in place of the base's own: Jinja, with Ollama a Go template; or the word for one "
        "of these: chatml, llama3, qwen, mistral, zephyr.",
    )
    parameters: GenerationOptions | None = Field(
        None, description="Default options.", examples=[{"temperature": 0.2}]
    )
    embedder: Name = Field(
        "",
        description="What embeds the model's own documents; the embedding model of the settings when left out.",
        examples=["all-minilm-l6-v2-int8"],
    )
    collection: Name = Field(
        "",
        description="The collection (name or id) from which it answers OpenAI's clients, which know only its name.",
    )
    replace: bool = Field(False, description="Replace a model of that name.")


class CreateModelResponse(BaseModel):
    """The model that can be asked now."""

    Message: str
    name: str


class DeleteModelResponse(BaseModel):
    """What was deleted."""

    Message: str


class ListModelsRequest(BaseModel):
    """How much to say, and which part of the list."""

    model_config = ConfigDict(extra="forbid")

    details: bool = Field(False, description="Add kind, base, size and more of each model.")
    limit: int | None = Field(
        None, ge=1, le=10_000, description="Most models to list; all when left out."
    )
    after: Name | None = Field(None, description="Go on behind this name.")


class ModelSummary(BaseModel):
    """What is known of one model."""

    name: str
    kind: Literal["base", "persona", "fine-tune"]
    base: str | None = Field(description="What it was made from.")
    size_bytes: int
    parameter_count: int
    quantization: str
    context_length: int = Field(description="Tokens it was trained for.")
    capabilities: list[str]
    trainable: bool = Field(description="Whether `fine_tune_model` can start from it.")
    modified_at: str
    shared: bool = Field(
        description="Whether every workspace may use it; base models are so without it."
    )
    warning: str | None = Field(
        None, description="What was found wrong with it, when it was published all the same."
    )


class ListModelsResponse(BaseModel):
    """Names by the alphabet; `models` with `details`, `has_more` with `limit`."""

    all_created_models: list[str] = Field(alias="All Created Models")
    models: list[ModelSummary] | None = None
    has_more: bool | None = Field(
        None, description="Whether the list goes on behind its last name."
    )


class ShowModelResponse(ModelSummary):
    """Everything about one model."""

    system: str
    template: str
    parameters: GenerationOptions = Field(description="Its default options, those that are set.")
    job_id: str | None = Field(description="The job that trained it.")
    architecture: str = Field(description="As its file calls it; empty where nobody says.")
    back_end: str | None = Field(
        description="The back end that it runs on; null: the home runtime."
    )
    collection: str | None = Field(
        None, description="The id of the collection from which it answers OpenAI's clients."
    )
    lineage: Lineage | None = Field(
        None, description="What a fine-tune learned from and was made by."
    )
    extra: dict[str, Any] | None = Field(
        None, description="Parameters of its back end that it has otherwise."
    )
    prompt_template: str | None = Field(None, description="What stands around a question.")
    variables: dict[str, str] | None = Field(
        None, description="Values of the variables of `prompt_template` where a request gives none."
    )


@router.post(
    "/createModel/{modelName}",
    operation_id="create_model",
    status_code=201,
    summary="Create a model from a base and a system prompt",
    responses=problems(404, 409, 422),
    openapi_extra=documented(CreateModelRequest),
)
async def create_model(
    model_name: Annotated[ModelName, Path(alias="modelName")],
    request: Annotated[
        CreateModelRequest,
        Depends(request_model(CreateModelRequest, default_base="default_base_model")),
    ],
    services: ServicesDep,
) -> CreateModelResponse:
    """A persona takes no space of its own: it is its base with a system prompt and defaults.

    The parameters may come as a form or as JSON too: `{"system": "You are Ada.", "baseModel": "demo"}`.
    """
    parameters = request.parameters or GenerationOptions()
    embedder = await services.collections.embedder_for(model_name, request.embedder)
    model = await services.models.create(
        model_name,
        request.base_model,
        Persona(request.system, request.template, parameters.options()),
        replace=request.replace,
        collection=request.collection,
    )
    if embedder:
        await services.collections.give_embedder(model.info.name, embedder)
    return CreateModelResponse(
        Message=f"Successfully created {model.info.name}", name=model.info.name
    )


@router.get(
    "/list_models",
    operation_id="list_models",
    summary="List the models that can chat",
    response_model_exclude_unset=True,
    responses=problems(422),
    openapi_extra=documented(ListModelsRequest),
)
async def list_models(
    request: Annotated[ListModelsRequest, Depends(request_model(ListModelsRequest))],
    services: ServicesDep,
    caller: CallerDep,
) -> ListModelsResponse:
    """Names by default; `details=true` adds what is known of each."""
    models, has_more = await services.models.page(request.after, request.limit, caller.may_use)
    answer: dict[str, Any] = {"All Created Models": [model.info.name for model in models]}
    if request.details:
        answer["models"] = [ModelSummary(**summary_of(model)) for model in models]
    if request.limit is not None:
        answer["has_more"] = has_more
    return ListModelsResponse(**answer)


@router.get(
    "/show_model/{modelName:path}",
    operation_id="show_model",
    summary="Everything about one model",
    response_model_exclude_unset=True,
    responses=problems(404, 422),
)
async def show_model(model_name: ExistingName, services: ServicesDep) -> ShowModelResponse:
    """Kind, base, system prompt, template, defaults, context length and abilities."""
    return shown(await services.models.show(model_name))


def shown(model: Model) -> ShowModelResponse:
    """Everything about it."""
    persona = model.info.persona
    kept: dict[str, Any] = {
        "extra": persona.parameters.extra,
        "prompt_template": persona.prompt_template,
        "variables": persona.variables,
    }
    return ShowModelResponse(
        **summary_of(model),
        system=persona.system,
        template=model.info.template,
        parameters=GenerationOptions.of(persona.parameters),
        job_id=model.job_id or None,
        architecture=model.info.architecture,
        back_end=model.info.back_end or None,
        **({"collection": model.collection} if model.collection else {}),
        **({"lineage": model.lineage} if model.lineage else {}),
        **{name: value for name, value in kept.items() if value},
    )


@router.delete(
    "/deleteModel/{modelName:path}",
    operation_id="delete_model",
    summary="Delete a model",
    responses=problems(403, 404, 409, 422),
)
async def delete_model(
    model_name: ExistingName, services: ServicesDep, caller: CallerDep
) -> DeleteModelResponse:
    """Models built on it go on answering; its documents stay listed under the name. A base needs the scope `admin`."""
    await require_admin_for_base(model_name, services, caller)
    name = await services.models.delete(model_name)
    return DeleteModelResponse(Message=f"Successfully deleted {name}")


def summary_of(model: Model) -> dict[str, Any]:
    """The members of a `ModelSummary`."""
    info = model.info
    return {
        "name": info.name,
        "kind": model.kind,
        "base": model.base or None,
        "size_bytes": info.size_bytes,
        "parameter_count": info.parameter_count,
        "quantization": info.quantization,
        "context_length": info.context_length,
        "capabilities": sorted(info.capabilities),
        "trainable": model.trainable,
        "modified_at": info.modified_at.isoformat(),
        "shared": model.shared,
        **({"warning": model.warning} if model.warning else {}),
    }
