"""Opens the model runtime that the settings choose."""

import os

from api.data_folder.guarded import Guarded
from api.runtime import ModelRuntime
from api.runtime.llama_cpp.child import Limits
from api.runtime.llama_cpp.children import Children
from api.runtime.llama_cpp.registry import Registry
from api.runtime.llama_cpp.runtime import LlamaCppRuntime
from api.settings import Settings


def open_runtime(settings: Settings, models: Guarded | None) -> ModelRuntime:
    """The runtime named in the settings; `models` is the folder of the embedded one."""
    return open_ollama(settings) if models is None else open_llama_cpp(settings, models)


def open_ollama(settings: Settings) -> ModelRuntime:
    """The runtime over an Ollama server, which need not be there yet."""
    from api.runtime.ollama.client import OllamaClient
    from api.runtime.ollama.runtime import OllamaRuntime  # takes longer to import than the rest

    return OllamaRuntime(
        OllamaClient(settings.ollama_url, start_seconds=settings.model_start_seconds),
        context_length=settings.context_length,
        idle_unload_seconds=settings.idle_unload_seconds,
        expected={
            "LLM_FASTAPI_DEFAULT_BASE_MODEL": settings.default_base_model,
            "LLM_FASTAPI_EMBEDDING_MODEL": settings.embedding_model,
        },
    )


def open_llama_cpp(settings: Settings, models: Guarded) -> LlamaCppRuntime:
    """The embedded runtime over the registry in the data folder."""
    limits = Limits(
        threads=settings.threads or max(1, _cores() - 1),
        most_threads=settings.threads or _cores(),
        gpu_layers=settings.gpu_layers,
        start_seconds=settings.model_start_seconds,
    )
    return LlamaCppRuntime(
        Registry(
            models.path,
            adding=models.adding,
            set_aside=models.set_aside if models.may_sweep else None,
        ),
        Children(limits, most=settings.loaded_models, idle_seconds=settings.idle_unload_seconds),
        context_length=settings.context_length,
        parallel_requests=settings.parallel_requests,
    )


def _cores() -> int:
    """Cores this process may use; a container or `taskset` can leave it fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
