"""What server is started here for a back end: a value, what may stand in it, and the command that it becomes.

What is loaded is a base by its name, a job's adapter by the job's id, or a class of the operator's folder: no path
comes from outside, and no code that comes with a model is run.
"""

import importlib.util
import json
import re
import shutil
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from api import child_process
from api.errors import InvalidOption, Unavailable

Kind = Literal["causal", "custom", "vllm"]
_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_ADAPTER = re.compile(r"(job_[0-9a-f]{16})(?:/(\d{1,9}))?")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,:-]{0,99}")
_MOST_ARGUMENTS_CHARACTERS = 32_768

_MODEL: Mapping[str, tuple[type, ...]] = {
    "attn_implementation": (str,),
    "device_map": (str,),
    "dtype": (str,),
    "max_memory": (dict,),
}
_TOKENIZER: Mapping[str, tuple[type, ...]] = {
    "add_prefix_space": (bool,),
    "clean_up_tokenization_spaces": (bool,),
    "legacy": (bool,),
    "model_max_length": (int,),
    "use_fast": (bool,),
}
_ENGINE: Mapping[str, tuple[type, ...]] = {
    "block_size": (int,),
    "cpu_offload_gb": (int, float),
    "data_parallel_size": (int,),
    "dtype": (str,),
    "enable_chunked_prefill": (bool,),
    "enable_expert_parallel": (bool,),
    "enable_prefix_caching": (bool,),
    "enforce_eager": (bool,),
    "gpu_memory_utilization": (int, float),
    "kv_cache_dtype": (str,),
    "max_lora_rank": (int,),
    "max_model_len": (int,),
    "max_num_batched_tokens": (int,),
    "max_num_seqs": (int,),
    "pipeline_parallel_size": (int,),
    "quantization": (str,),
    "reasoning_parser": (str,),
    "seed": (int,),
    "tensor_parallel_size": (int,),
    "tool_call_parser": (str,),
}
"""Of vLLM's arguments: none that names a path, a plugin, an address, or code to trust."""
_COMPACT = {"backend": "guidance", "disable_any_whitespace": True}
"""How vLLM holds an answer to a schema: else a model may write spaces between its values until `max_tokens`."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A server. `model` is a base's name, or `module:Class`; `adapter` a folder among the bases, or `JOB[/STEP]`.

    `arguments` are of the model's loading, of the class's `init`, or of vLLM's engine.
    """

    kind: Kind
    model: str
    bits: int = 16
    adapter: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    tokenizer_arguments: Mapping[str, Any] = field(default_factory=dict)
    start_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Places:
    """Where what a server loads lies, and where the logs of servers are kept."""

    bases: Path
    jobs: Path
    data: Path
    classes: Path | None = None
    has_job: Callable[[str], bool] = lambda _: True
    """Whether a job's adapter may be served, to all workspaces."""
    drivers: Path = Path("/dev")

    def log(self, name: str) -> Path:
        """That of one back end's server."""
        return self.data / "servers" / name / "log.txt"


def check(launch: Launch, places: Places) -> None:
    """`errors.InvalidOption` for what cannot be started, `errors.Unavailable` for a library that is missing. Blocks."""
    if len(json.dumps([launch.arguments, launch.tokenizer_arguments])) > _MOST_ARGUMENTS_CHARACTERS:
        raise _wrong("the arguments are too long.")
    if launch.kind == "custom":
        _require_class(launch.model, places)
        return
    allowed = _MODEL if launch.kind == "causal" else _ENGINE
    _require_known(
        launch.arguments, allowed, "engine" if launch.kind == "vllm" else "model_arguments"
    )
    _require_known(launch.tokenizer_arguments, _TOKENIZER, "tokenizer_arguments")
    base_folder(launch.model, places)
    if launch.adapter:
        adapter_folder(launch.adapter, places)
    if launch.kind == "vllm":
        vllm()
    elif (
        importlib.util.find_spec("transformers") is None
        or importlib.util.find_spec("torch") is None
    ):
        raise Unavailable(
            "transformers and torch are not installed where the service runs: pip install -c constraints.txt -e "
            "'.[finetune]'. Or start the server elsewhere, and name its base_url.",
            retry_after_seconds=60,
        )


def command(
    launch: Launch, places: Places, port: int, key: str
) -> tuple[list[str], dict[str, str]]:
    """What is started, and its environment, in which its key stands. Blocks."""
    check(launch, places)
    env = child_process.environment()
    if launch.kind == "vllm":
        return _vllm_command(launch, places, port), env | {
            "VLLM_API_KEY": key,
            "VLLM_NO_USAGE_STATS": "1",  # else it tells its makers which model it runs, and on what
        }
    config: dict[str, Any]
    if launch.kind == "custom":
        config = {"class": launch.model, "folder": str(places.classes)}
        config["arguments"] = dict(launch.arguments)
    else:
        config = {
            "model": str(base_folder(launch.model, places)),
            "name": launch.model,
            "bits": launch.bits,
            "adapter": str(adapter_folder(launch.adapter, places)) if launch.adapter else "",
            "model_arguments": dict(launch.arguments),
            "tokenizer_arguments": dict(launch.tokenizer_arguments),
        }
    program = f"api.model_servers.{launch.kind}"
    said = [sys.executable, "-P", "-m", program, json.dumps(config), "--port", str(port)]
    return said, env | {"MODEL_SERVER_KEY": key}


def base_folder(name: str, places: Places) -> Path:
    """The folder of a base; its weights are safetensors."""
    folder = _below(places.bases, name, "model")
    if folder is None or not (folder / "config.json").is_file():
        raise _wrong(
            f"there is no base {name!r} (GET /list_models shows those that can be trained).",
            "model",
        )
    if not any(folder.glob("*.safetensors")):
        raise _wrong(
            f"the base {name!r} has no safetensors, and no other weights are loaded.", "model"
        )
    return folder


def adapter_folder(name: str, places: Places) -> Path:
    """The folder of an adapter as PEFT writes it; its weights are safetensors."""
    folder: Path | None
    if found := _ADAPTER.fullmatch(name):
        train = places.jobs / found[1] / "train"
        folder = train / "kept" / found[2] if found[2] else train / "adapter"
        folder = folder if places.has_job(found[1]) else None
    else:
        folder = _below(places.bases, name, "adapter")
    if folder is None or not (folder / "adapter_config.json").is_file():
        raise _wrong(
            f"there is no adapter {name!r}: name a job's id, JOB/STEP for one of its checkpoints, or a folder "
            "beside the bases.",
            "adapter",
        )
    if not (folder / "adapter_model.safetensors").is_file():
        raise _wrong(
            f"the adapter {name!r} has no safetensors, and no other weights are loaded.", "adapter"
        )
    return folder


def vllm() -> str:
    """vLLM's program; `errors.Unavailable` where it is not installed."""
    beside = Path(sys.executable).with_name("vllm")
    found = str(beside) if beside.is_file() else shutil.which("vllm")
    if found is None:
        raise Unavailable(
            "vLLM is not installed where the service runs: pip install vllm. Or start it elsewhere, and name its "
            'base_url with "provider": "vllm".',
            retry_after_seconds=60,
        )
    return found


def _vllm_command(launch: Launch, places: Places, port: int) -> list[str]:
    said = [vllm(), "serve", str(base_folder(launch.model, places))]
    base = f"{launch.model}--base" if launch.adapter else launch.model
    said += ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", base]
    if launch.arguments.get("quantization") != "bitsandbytes":  # which loads in a way of its own
        said += ["--load-format", "safetensors"]
    said += ["--structured-outputs-config", json.dumps(_COMPACT)]
    for name, value in sorted(launch.arguments.items()):
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            said.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            said += [f"--{flag}", str(value)]
    if "tool_call_parser" in launch.arguments:
        said.append("--enable-auto-tool-choice")
    if launch.adapter:
        adapter = adapter_folder(launch.adapter, places)
        said += ["--enable-lora", "--lora-modules", f"{launch.model}={adapter}"]
    return said


def _require_known(
    given: Mapping[str, Any], allowed: Mapping[str, tuple[type, ...]], where: str
) -> None:
    for name, value in given.items():
        if name == "trust_remote_code":
            raise _wrong(
                "no code that comes with a model is run: trust_remote_code is not taken.", where
            )
        if name not in allowed:
            raise _wrong(f"{name!r} is not taken; these are: {', '.join(sorted(allowed))}.", where)
        is_sound = isinstance(value, allowed[name]) and isinstance(value, bool) == (
            bool in allowed[name]
        )
        if not is_sound or (isinstance(value, str) and not _WORD.fullmatch(value)):
            kinds = " or ".join(one.__name__ for one in allowed[name])
            raise _wrong(f"{name!r} is a value of the type {kinds}.", where)


def _require_class(name: str, places: Places) -> None:
    if not _CLASS.fullmatch(name):
        raise _wrong("write it as module:Class.", "class")
    folder = places.classes
    if folder is None or not folder.is_dir():
        raise _wrong(
            "LLM_FASTAPI_MODEL_SERVERS_DIR names no folder with classes where the service runs.",
            "class",
        )
    if folder.resolve().is_relative_to(places.data.resolve()):
        raise _wrong(
            "the folder of LLM_FASTAPI_MODEL_SERVERS_DIR lies in the data folder, where what is uploaded lies.",
            "class",
        )
    path = folder.joinpath(*name.partition(":")[0].split("."))
    files = [one for one in (path / "__init__.py", path.with_suffix(".py")) if one.is_file()]
    if not files:
        raise _wrong(
            f"there is no module {name.partition(':')[0]!r} in the folder of the operator.", "class"
        )
    inside = [one for file in files for one in (file, *file.parents) if folder in one.parents]
    if any(one.stat().st_mode & stat.S_IWOTH for one in (folder, *inside)):
        raise _wrong(
            "everybody can write into the folder of LLM_FASTAPI_MODEL_SERVERS_DIR, or into this module there.",
            "class",
        )


def _below(folder: Path, name: str, where: str) -> Path | None:
    if not name or name.startswith(".") or Path(name).name != name:
        raise _wrong("a name, and no path.", where)
    return folder / name if (folder / name).is_dir() else None


def _wrong(what: str, where: str = "") -> InvalidOption:
    path = f"server.{where}" if where else "server"
    return InvalidOption(f"{path}: {what}", where=path)
