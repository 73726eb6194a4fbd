"""What a schema cannot see in the compose files: that their parts fit each other and the program."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.errors import CannotStart
from api.http.gate import require_safe_listening
from api.settings import Settings

ROOT = Path(__file__).parents[2]
GPU = ROOT / "docker-compose.yml"
CPU = ROOT / "docker-compose.cpu.yml"
FILE: dict[str, Any] = yaml.safe_load(GPU.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = ("fastapi", "worker", "model-server")
TEXTS = GPU.read_text(encoding="utf-8") + CPU.read_text(encoding="utf-8")
EXAMPLE: dict[str, str] = dict(
    re.findall(
        r"^# ([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE
    )
)


def merged(*files: Path, **variables: str) -> dict[str, dict[str, Any]]:
    """The services as docker compose reads them, with nothing of this machine's environment."""
    answer = subprocess.run(
        [
            Path(sys.executable).with_name("docker-compose"),
            "--env-file=/dev/null",
            *(f"--file={file}" for file in files),
            "config",
            "--format=json",
        ],
        env=variables,
        capture_output=True,
        check=True,
    )
    services: dict[str, dict[str, Any]] = json.loads(answer.stdout)["services"]
    return services


def volumes_of(service: dict[str, Any]) -> dict[str, str]:
    """Where a service has which named volume."""
    pairs = [volume.split(":")[:2] for volume in service["volumes"]]
    return {name: target for name, target in pairs if not name.startswith(".")}


def gpus_of(service: dict[str, Any]) -> list[dict[str, Any]]:
    reservations = service["deploy"]["resources"].get("reservations") or {}
    devices: list[dict[str, Any]] = reservations.get("devices", [])
    return devices


EMBEDDED = {
    "CHROMA_CA_FILE",
    "CHROMA_TOKEN",
    "CHROMA_TOKEN_HEADER",
    "GPU_LAYERS",
    "LOADED_MODELS",
    "PARALLEL_REQUESTS",
    "THREADS",
}
"""Settings that mean nothing to the containers."""


def settings_of(service: dict[str, Any]) -> Settings:
    """The program's settings in the container."""
    given = {
        name.removeprefix("LLM_FASTAPI_").lower(): value
        for name, value in service["environment"].items()
        if name.startswith("LLM_FASTAPI_") and value is not None
    }
    return Settings(_env_file=None, **given)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_watched_restarted_and_limited(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert service["restart"] == "unless-stopped"
    assert service["init"] is True
    assert service["logging"]["options"].keys() >= {"max-size", "max-file"}
    assert service["deploy"]["resources"]["limits"].keys() >= {"memory", "cpus"}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_no_right_of_root(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    target = SERVICES[name]["build"]["target"]
    stage = (ROOT / "Dockerfile").read_text(encoding="utf-8").split(f" AS {target}\n")[1]
    assert "USER 10001:10001" in stage.split("\nFROM ")[0]


def test_the_api_waits_until_its_back_ends_are_healthy() -> None:
    conditions = {
        name: need["condition"] for name, need in SERVICES["fastapi"]["depends_on"].items()
    }
    assert conditions == {"ollama": "service_healthy", "chromadb": "service_healthy"}


def test_every_volume_is_declared_and_used() -> None:
    used = {name for service in SERVICES.values() for name in volumes_of(service)}
    assert used == FILE["volumes"].keys()


def test_api_and_worker_see_jobs_and_base_models_under_one_path() -> None:
    api, worker = (volumes_of(SERVICES[name]) for name in ("fastapi", "worker"))
    assert worker == {name: api[name] for name in ("jobs", "base_models")}
    settings = settings_of(SERVICES["fastapi"])
    assert worker == {"jobs": str(settings.jobs_dir), "base_models": str(settings.base_models_dir)}
    assert api["state"] == str(settings.data_dir)
    assert SERVICES["worker"]["healthcheck"]["test"][-1] == worker["jobs"]


@pytest.mark.parametrize("name", ["ollama", "chromadb"])
def test_a_health_check_asks_for_no_program_that_the_image_lacks(name: str) -> None:
    words = set(re.findall(r"\w+", " ".join(SERVICES[name]["healthcheck"]["test"])))
    assert not words & {"curl", "wget", "python", "python3", "nc"}


@pytest.mark.parametrize("name", OURS)
def test_our_images_are_built_and_never_looked_for_in_a_registry(name: str) -> None:
    assert SERVICES[name]["pull_policy"] == "never"


@pytest.mark.parametrize("name", ["ollama", "chromadb", "webui"])
def test_images_of_others_are_pinned(name: str) -> None:
    assert re.fullmatch(r"[a-z/-]+:v?\$\{[A-Z_]+:-\d+\.\d+\.\d+\}", SERVICES[name]["image"])


def test_only_the_api_publishes_a_port_and_on_loopback() -> None:
    services = merged(GPU)
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published.keys() == {"fastapi"}
    (port,) = published["fastapi"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "3000", 3000)


def test_a_page_to_chat_on_comes_when_it_is_asked_for_and_asks_the_api() -> None:
    assert SERVICES["webui"]["profiles"] == ["webui"]
    merged_with_it = merged(GPU, COMPOSE_PROFILES="webui", LLM_FASTAPI_API_KEY="k")["webui"]
    (port,) = merged_with_it["ports"]
    assert (port["host_ip"], port["published"]) == ("127.0.0.1", "3080")
    told = merged_with_it["environment"]
    assert told["OPENAI_API_BASE_URL"] == "http://fastapi:3000/v1"
    assert told["OPENAI_API_KEY"] == "k"


def test_a_server_of_transformers_comes_when_it_is_asked_for_and_reads_alone() -> None:
    server = SERVICES["model-server"]
    assert server["profiles"] == ["model-server"]
    assert server["build"] == SERVICES["worker"]["build"]
    assert all(volume.endswith(":ro") for volume in server["volumes"])
    assert volumes_of(server) == volumes_of(SERVICES["worker"])
    key = {"COMPOSE_PROFILES": "model-server", "MODEL_SERVER_KEY": "k"}
    chosen = merged(GPU, **key, MODEL_SERVER_BASE="demo", MODEL_SERVER_BITS="8")["model-server"]
    assert "ports" not in chosen
    assert chosen["environment"]["MODEL_SERVER_KEY"] == "k"
    *program, config, host, port = chosen["command"]
    assert program == ["python", "-m", "api.model_servers.causal"]
    assert (host, port) == ("--host=0.0.0.0", "--port=8000")
    assert json.loads(config) == {"model": "/data/base_models/demo", "bits": 8, "adapter": ""}
    assert gpus_of(merged(GPU, CPU, **key)["model-server"]) == []
    assert gpus_of(chosen)[0]["device_ids"] == ["0"]


def test_the_api_starts_on_loopback_without_a_key() -> None:
    require_safe_listening(settings_of(merged(GPU)["fastapi"]))


def test_the_api_refuses_to_be_published_without_a_key() -> None:
    service = merged(GPU, LLM_FASTAPI_BIND="0.0.0.0")["fastapi"]  # noqa: S104
    assert service["ports"][0]["host_ip"] == "0.0.0.0"  # noqa: S104
    with pytest.raises(CannotStart, match="LLM_FASTAPI_API_KEY"):
        require_safe_listening(settings_of(service))


def test_the_api_is_published_with_a_key() -> None:
    service = merged(GPU, LLM_FASTAPI_BIND="0.0.0.0", LLM_FASTAPI_API_KEY="k" * 32)["fastapi"]  # noqa: S104
    require_safe_listening(settings_of(service))


def test_every_other_setting_can_be_given() -> None:
    known = {f"LLM_FASTAPI_{name.upper()}" for name in Settings.model_fields}
    without = {f"LLM_FASTAPI_{name}" for name in EMBEDDED}
    named = {name for name in SERVICES["fastapi"]["environment"] if name.startswith("LLM_FASTAPI_")}
    assert named == known - without
    given = merged(GPU, LLM_FASTAPI_PASSAGES="3")["fastapi"]
    assert settings_of(given).passages == 3


def test_personas_are_made_of_llama_3_and_mistral_7b_is_fine_tuned() -> None:
    services = merged(GPU)
    settings = settings_of(services["fastapi"])
    assert services["ollama"]["environment"]["OLLAMA_BASE_MODEL"] == "llama3"
    assert settings.default_base_model == "llama3"
    assert settings.default_trainable_model == "mistral-7b-v0.1"


def test_ollama_pulls_what_the_api_asks_for() -> None:
    services = merged(GPU, LLM_FASTAPI_DEFAULT_BASE_MODEL="gemma3")
    settings = settings_of(services["fastapi"])
    pulled = services["ollama"]["environment"]
    assert settings.default_base_model == pulled["OLLAMA_BASE_MODEL"] == "gemma3"
    assert settings.embedding_model == pulled["OLLAMA_EMBEDDING_MODEL"] == "qwen3-embedding:0.6b"


def test_a_base_that_comes_another_way_is_not_pulled() -> None:
    services = merged(GPU, LLM_FASTAPI_DEFAULT_BASE_MODEL="ours", OLLAMA_BASE_MODEL="")
    assert settings_of(services["fastapi"]).default_base_model == "ours"
    assert services["ollama"]["environment"]["OLLAMA_BASE_MODEL"] == ""


def test_the_gpu_is_reserved_for_ollama_and_the_worker() -> None:
    with_gpu = {name: gpus_of(service) for name, service in merged(GPU).items()}
    reserved = {name: devices for name, devices in with_gpu.items() if devices}
    assert reserved.keys() == {"ollama", "worker"}
    assert all(device["capabilities"] == ["gpu"] for (device,) in reserved.values())
    assert with_gpu["worker"][0]["device_ids"] == ["0"]


def test_without_a_gpu_nothing_is_reserved_and_the_limits_stay() -> None:
    with_gpu, without = merged(GPU), merged(GPU, CPU)
    for name, service in without.items():
        assert gpus_of(service) == []
        assert (
            service["deploy"]["resources"]["limits"]
            == with_gpu[name]["deploy"]["resources"]["limits"]
        )


def test_without_a_gpu_the_worker_gets_the_cpu_build_of_torch() -> None:
    pin = re.search(r'"(torch==[\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert pin
    assert merged(GPU)["worker"]["build"]["args"]["TORCH"] == pin[1]
    assert merged(GPU, CPU)["worker"]["build"]["args"]["TORCH"] == f"{pin[1]}+cpu"
    assert f"ARG TORCH={pin[1]}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_example_names_every_variable_of_the_compose_files() -> None:
    handed_on = {
        name
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if value is None and not name.startswith("LLM_FASTAPI_")  # docs/settings.md
    }
    asked = set(re.findall(r"\$\{([A-Z_]+)", TEXTS)) | handed_on
    assert asked <= EXAMPLE.keys()


def test_the_example_shows_the_defaults_of_the_compose_files() -> None:
    defaults = dict(re.findall(r"\$\{([A-Z_]+):?-([^$}]+)\}", GPU.read_text(encoding="utf-8")))
    del defaults["LLM_FASTAPI_BIND"]  # the example opens it
    del defaults["LLM_FASTAPI_API_KEY"]  # and so has a key
    assert {name: EXAMPLE[name] for name in defaults} == defaults


def test_the_build_context_holds_what_the_images_copy() -> None:
    copied = {
        source
        for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
        if line.startswith("COPY ")
        for source in line.split()[1:-1]
    }
    whitelist = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    assert copied == whitelist
