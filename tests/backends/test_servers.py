"""Servers that are started here: their life, and what a class of a user's own may do wrong."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from starlette.testclient import TestClient

from api.backends import BackEnd, Named
from api.backends.catalogue import BackEnds
from api.backends.kept import Kept
from api.backends.launch import Launch, Places, command
from api.backends.launched import LaunchedRuntime
from api.backends.secrets import Keys
from api.backends.server import MOST_DEATHS, Server
from api.backends.wanted import Change, moved, named
from api.errors import DeviceInUse, InvalidOption, Unavailable
from api.runtime import ExistingModel, Message, Options, Persona
from api.runtime.fair import Turns
from api.runtime.openai_style.directory import RemoteModel
from api.runtime.training import Reserved, Training
from api.store.jobs import new_job_id
from tests.databases import open_migrated
from tests.fakes import FakeRuntime
from tests.finetune.jobs import wait_for
from tests.service import Service, open_service

CLASSES = Path(__file__).parent / "classes"


def served(client: TestClient, name: str, wanted: str, ending: str = "!", **more: Any) -> Any:
    """A back end over a server that is started here, as it is told."""
    server = {"kind": "custom", "class": f"odd:{wanted}", "arguments": {"ending": ending}}
    said = {"launch": "process", "server": server, **more}
    answer = client.post(f"/backends/{name}", json=said)
    assert answer.status_code == 201, answer.text
    return answer.json()


def reached(client: TestClient, name: str, *states: str, within_seconds: float = 60) -> Any:
    """The server of a back end, once it is in one of these states."""
    ends = time.monotonic() + within_seconds
    while True:
        server = client.get(f"/backends/{name}").json()["server"]
        if server["state"] in states:
            return server
        assert time.monotonic() < ends, server
        time.sleep(0.05)


def asked(client: TestClient, name: str, prompt: str = "Hello there", **more: Any) -> Any:
    """The answer of a model."""
    return client.post("/generate", json={"modelName": name, "user_prompt": prompt, **more})


def processes(wanted: str) -> list[psutil.Process]:
    """Those of a server and its guard."""
    found = []
    for one in psutil.process_iter(["cmdline", "status"]):
        told = " ".join(one.info["cmdline"] or ())
        if f'"odd:{wanted}"' in told and one.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(one)
    return found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that may serve the classes of these tests."""
    folder = tmp_path_factory.mktemp("servers")
    with open_service(folder, model_servers_dir=CLASSES) as service:
        yield service


@pytest.fixture(scope="module")
def odd(shared: Service) -> TestClient:
    """A client of a service with a model `odd`, which is ready."""
    served(shared.client, "odd", "Odd", retries=0)
    return shared.client


def test_a_persona_over_a_class_answers_like_any_model(shared: Service, tmp_path: Path) -> None:
    client, may_load = shared.client, tmp_path / "may_load"
    made = served(client, "parrot", "Waits", str(may_load))
    assert (made["server"]["state"], made["base_url"], made["key"]) == ("starting", "", "none")
    assert made["max_concurrency"] == 1
    early = asked(client, "parrot")
    assert early.status_code == 503
    assert int(early.headers["Retry-After"]) > 0
    assert "is starting" in early.json()["detail"]
    may_load.touch()
    reached(client, "parrot", "ready")
    persona = {"baseModel": "parrot", "system": "Be Ada.", "parameters": {"stop": ["you"]}}
    assert client.post("/createModel/ada", json=persona).status_code == 201
    assert asked(client, "ada", "who are you then").json()["message"] == "Be Ada. who are "
    assert asked(client, "parrot").json()["message"] == "Hello there !"
    assert asked(client, "parrot", temperature=0.5).json()["message"] == "Hello there 0.5"
    refused = asked(client, "parrot", top_p=0.5)
    assert (refused.status_code, refused.json()["where"]) == (422, "top_p")
    assert client.delete("/backends/parrot").status_code == 409
    assert client.delete("/deleteModel/ada").status_code == 200
    assert client.delete("/backends/parrot").status_code == 200
    assert processes("Waits") == []


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("raise", "ValueError: no words today"),
        ("raise later", "KeyError: 'lost'"),
        ("exit", "SystemExit: 3"),
        ("give nothing", "generate gave nothing"),
        ("give a number", "a value of the type int"),
        ("give numbers", "a value of the type int as a piece"),
        ("give a dictionary", "a value of the type dict"),
    ],
)
def test_what_a_class_does_wrong_is_told_and_its_server_stays(
    odd: TestClient, prompt: str, told: str
) -> None:
    reached(odd, "odd", "ready")
    answer = asked(odd, "odd", prompt)
    assert answer.status_code == 502
    assert told in answer.json()["detail"]
    assert asked(odd, "odd", "Hi", max_tokens=9).json()["message"] == "Hi ['max_tokens']"
    server = reached(odd, "odd", "ready")
    assert server["deaths"] == 0


def test_what_a_class_prints_is_kept_within_bounds(odd: TestClient, shared: Service) -> None:
    reached(odd, "odd", "ready")
    assert asked(odd, "odd", "print").json()["message"] == "done"
    folder = Path(shared.app.state.services.settings.data_dir) / "servers" / "odd"
    wait_for(lambda: reached(odd, "odd", "ready")["log"][-1:] == ["The last line."])
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 2 * 2**20 + 2**16


def test_one_that_hangs_meets_the_time_outs_and_is_started_again(odd: TestClient) -> None:
    reached(odd, "odd", "ready")
    odd.patch("/backends/odd", json={"first_token_seconds": 1}).raise_for_status()
    assert asked(odd, "odd", "hang").status_code == 504
    odd.patch("/backends/odd", json={"first_token_seconds": 120}).raise_for_status()
    server = reached(odd, "odd", "waiting", "starting")
    assert "after its client had left" in server["why"]


def test_one_that_dies_is_started_again_and_says_why(odd: TestClient) -> None:
    reached(odd, "odd", "ready")
    answer = asked(odd, "odd", "die")
    assert answer.status_code == 502
    assert "broke off" in answer.json()["detail"]
    server = reached(odd, "odd", "waiting", "starting")
    assert "ended (status 9): No room for any more words" in server["why"]
    assert server["log"][-1] == "No room for any more words."
    assert server["deaths"] >= 1
    meanwhile = asked(odd, "odd")
    assert meanwhile.status_code == 503
    assert int(meanwhile.headers["Retry-After"]) > 0
    reached(odd, "odd", "ready")
    assert asked(odd, "odd").status_code == 200


def test_one_that_cannot_be_loaded_says_why_and_keeps_the_service_ready(shared: Service) -> None:
    told = {"remote": "odd:NeverStarts", "context_length": 64}
    served(shared.client, "never", "NeverStarts", models={"never": told})
    server = reached(shared.client, "never", "waiting")
    assert "RuntimeError: no weights here" in server["why"]
    assert "Loading the weights." in server["log"]
    ready = shared.client.get("/readyz")
    assert ready.status_code == 200
    assert "no weights here" in ready.text
    change = {"server": {"kind": "custom", "class": "odd:Parrot"}}
    changed = shared.client.patch("/backends/never", json=change).json()["models"]["never"]
    assert (changed["remote"], changed["context_length"]) == ("odd:Parrot", 8192)
    reached(shared.client, "never", "ready")
    assert asked(shared.client, "never").json()["message"] == "Hello there "
    assert shared.client.delete("/backends/never").status_code == 200


def test_one_is_there_again_after_a_restart_and_gives_its_memory_back(tmp_path: Path) -> None:
    with open_service(tmp_path, model_servers_dir=CLASSES) as service:
        served(service.client, "cellar", "Parrot", models={"ada": "odd:Parrot"})
    assert processes("Parrot") == []
    with open_service(tmp_path, model_servers_dir=CLASSES) as service:
        client, services = service.client, service.app.state.services
        assert client.get("/backends/cellar").json()["server"]["state"] == "stopped"
        assert client.portal
        client.portal.call(services.back_ends.start)
        reached(client, "cellar", "ready")
        with ThreadPoolExecutor() as others:
            may_end = tmp_path / "may_end"
            answer = others.submit(asked, client, "ada", f"{may_end} slow end")
            wait_for(lambda: client.get("/backends/cellar").json()["running"] == 1)
            for places in (2, 3):  # each change is spoken to over other connections
                said = {"max_concurrency": places}
                assert client.patch("/backends/cellar", json=said).json()["running"] == 1
            may_end.touch()
            client.portal.call(services.runtime.release_memory, "cpu")
        whole = answer.result().json()["message"]
        assert whole == f"{may_end} slow end !"  # it ended as it began
        assert processes("Parrot") == []
        assert client.get("/readyz").status_code == 200
        assert client.get("/backends/cellar").json()["server"]["state"] == "stopped"
        assert asked(client, "ada").status_code == 503  # and starts it
        assert client.get("/backends/cellar").json()["server"]["state"] == "starting"
    assert processes("Parrot") == []


@pytest.fixture
async def unstarted(tmp_path: Path) -> AsyncIterator[BackEnds]:
    """One of them, `cellar`, made while a job trains."""
    (tmp_path / "nvidia0").touch()
    places = Places(tmp_path, tmp_path, tmp_path / "data", CLASSES, drivers=tmp_path)
    store = open_migrated(tmp_path / "state.sqlite3")
    kept = Kept(store.back_ends, store.collections, store.model_defaults)
    back_ends = BackEnds(kept, Keys(tmp_path / "keys"), places)
    back_ends.reserve([Training("job_1", "gpu")])
    parrot = Change(launch=Launch("custom", "odd:Parrot"))
    await back_ends.create("cellar", parrot, FakeRuntime())
    yield back_ends
    await back_ends.close()
    store.close()


@pytest.mark.anyio
async def test_what_a_server_tells_undoes_no_change_that_was_made_meanwhile(
    unstarted: BackEnds, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runtime,) = unstarted.all()
    cellar = ExistingModel("cellar")
    await runtime.create_model("ada", cellar, Persona("Be Ada."))

    async def learn(_: LaunchedRuntime, models: list[RemoteModel]) -> list[RemoteModel]:
        await runtime.create_model("ada", cellar, Persona("Be Bob."), replace=True)
        return [replace(one, context_length=4096) for one in models]

    monkeypatch.setattr(LaunchedRuntime, "learn", learn)
    await unstarted._know_what_it_says("cellar")
    assert (await runtime.show("ada")).persona.system == "Be Bob."
    assert (await runtime.show("cellar")).context_length == 4096


@pytest.mark.anyio
async def test_none_is_started_where_a_job_trains(unstarted: BackEnds) -> None:
    unstarted.start()
    (runtime,) = unstarted.all()
    with pytest.raises(DeviceInUse):
        await anext(runtime.chat("cellar", [Message("user", "Hi")], Options()))
    seen = unstarted.show("cellar", Turns(1, 1)).server
    assert seen
    assert seen.state == "stopped"


@pytest.mark.anyio
async def test_one_that_is_stopped_twice_has_ended_before_its_memory_is_said_to_be_free(
    tmp_path: Path,
) -> None:
    places = Places(tmp_path, tmp_path, tmp_path / "data", CLASSES)
    server = Server("cellar", Launch("custom", "odd:Parrot"), places, Reserved())
    server.start()
    while server.seen().state != "ready":
        await asyncio.sleep(0.05)
    first = asyncio.create_task(server.stop())
    for _ in range(5):
        await asyncio.sleep(0)
    await server.stop()
    assert processes("Parrot") == []
    await first


@pytest.mark.anyio
async def test_one_that_loads_for_too_long_is_ended(tmp_path: Path) -> None:
    launch = Launch("custom", "odd:StartsLate", start_seconds=0.5)
    server = Server(
        "cellar", launch, Places(tmp_path, tmp_path, tmp_path / "data", CLASSES), Reserved()
    )
    server.start()
    while server.seen().state != "waiting":
        await asyncio.sleep(0.05)
    assert "was not ready within 0.5 seconds; raise server.start_seconds" in server.seen().why
    assert processes("StartsLate") == []
    await server.stop()


@pytest.mark.anyio
async def test_one_that_ends_again_and_again_is_left_alone(tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path, tmp_path / "data", CLASSES)
    gone = Launch("custom", "gone:Parrot")
    server = Server("cellar", gone, places, Reserved(), first_pause_seconds=0.001)
    server.start()
    while server.seen().state != "failed":
        await asyncio.sleep(0.01)
    assert server.seen().deaths == MOST_DEATHS
    with pytest.raises(Unavailable, match=r"no module 'gone'.* PATCH /backends/cellar"):
        server.address()
    assert "no module" in server.unstartable()
    server.start()
    assert server.seen().state == "starting"
    await server.stop()


def test_why_one_ended_is_not_hidden_by_what_its_libraries_say_last(tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path, tmp_path / "data", CLASSES)
    places.log("cellar").parent.mkdir(parents=True)
    said = 'EngineDeadError: no memory.\nnanobind: leaked 2 functions!\n - leaked function ""\n'
    noise = (
        "/usr/lib/resource_tracker.py:254: UserWarning\n  warnings.warn('resource_tracker: 2')\n"
    )
    places.log("cellar").write_text(said + noise)
    server = Server("cellar", Launch("custom", "odd:Parrot"), places, Reserved())
    assert server.seen().log == ["EngineDeadError: no memory."]


@pytest.fixture(scope="module")
def bases(shared: Service) -> Path:
    """Of the service: a base, one without safetensors, an adapter, one without safetensors."""
    folder = Path(shared.app.state.services.settings.base_models_dir)
    for name, files in {
        "tiny": ("config.json", "model.safetensors"),
        "old": ("config.json", "pytorch_model.bin"),
        "adapter": ("adapter_config.json", "adapter_model.safetensors"),
        "old-adapter": ("adapter_config.json", "adapter_model.bin"),
    }.items():
        (folder / name).mkdir(parents=True)
        for file in files:
            (folder / name / file).touch()
    return folder


CAUSAL = {"kind": "causal", "model": "tiny"}
VLLM = {"kind": "vllm", "model": "tiny"}
PARROT = {"kind": "custom", "class": "odd:Parrot"}


@pytest.mark.parametrize(
    ("said", "status", "where"),
    [
        ({"launch": "ray", "server": PARROT}, 422, "launch"),
        ({"launch": "process"}, 422, "server"),
        ({"server": PARROT, "base_url": "http://127.0.0.1:9/v1"}, 422, "base_url"),
        ({"server": PARROT, "key": "k"}, 422, "key"),
        ({"server": PARROT, "provider": "vllm"}, 422, "provider"),
        ({"server": PARROT, "models": {"ada": "other"}}, 422, "models"),
        ({"server": {**PARROT, "class": "../odd:Parrot"}}, 422, "server.class"),
        ({"server": {**PARROT, "class": "os:system"}}, 422, "server.class"),
        ({"server": {**PARROT, "folder": "/tmp"}}, 422, None),  # noqa: S108
        ({"server": {**CAUSAL, "model": "../tiny"}}, 422, "server.model"),
        ({"server": {**CAUSAL, "model": "missing"}}, 422, "server.model"),
        ({"server": {**CAUSAL, "model": "old"}}, 422, "server.model"),
        ({"server": {**CAUSAL, "bits": 5}}, 422, None),
        ({"server": {**CAUSAL, "adapter": "old-adapter"}}, 422, "server.adapter"),
        ({"server": {**CAUSAL, "adapter": "job_0123456789abcdef/7"}}, 422, "server.adapter"),
        (
            {"server": {**CAUSAL, "model_arguments": {"trust_remote_code": True}}},
            422,
            "server.model_arguments",
        ),
        (
            {"server": {**CAUSAL, "tokenizer_arguments": {"use_fast": "yes"}}},
            422,
            "server.tokenizer_arguments",
        ),
        ({"server": {**VLLM, "engine": {"trust_remote_code": True}}}, 422, "server.engine"),
        ({"server": {**VLLM, "engine": {"download_dir": "/"}}}, 422, "server.engine"),
        ({"server": {**VLLM, "engine": {"quantization": "--port"}}}, 422, "server.engine"),
        ({"server": {**VLLM, "engine": {"max_model_len": True}}}, 422, "server.engine"),
        ({"server": VLLM}, 503, None),
    ],
)
def test_what_may_not_be_started_is_refused_and_leaves_nothing(
    shared: Service, bases: Path, said: dict[str, Any], status: int, where: str | None
) -> None:
    answer = shared.client.post("/backends/wrong", json=said)
    assert answer.status_code == status, answer.text
    if where:
        assert answer.json().get("where") == where
    assert shared.client.get("/backends/wrong").status_code == 404


def test_the_adapter_of_another_workspaces_job_is_not_there(shared: Service, bases: Path) -> None:
    services = shared.app.state.services
    for workspace, status in (("default", 503), ("team", 422)):  # 503: there is no vLLM
        id = services.workspaces.store.of(workspace).jobs.add(new_job_id(), "tuned", "tiny", {}).id
        folder = Path(services.settings.jobs_dir) / id / "train" / "adapter"
        folder.mkdir(parents=True)
        for file in (bases / "adapter").iterdir():
            (folder / file.name).touch()
        said = {"launch": "process", "server": {**VLLM, "adapter": id}}
        answer = shared.client.post("/backends/wrong", json=said)
        assert answer.status_code == status, answer.text
    assert f"there is no adapter '{id}'" in answer.json()["detail"]


def test_vllm_is_told_what_stands_in_engine_and_its_key_in_the_environment(
    tmp_path: Path, bases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vllm").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "2")
    engine = {"tensor_parallel_size": 2, "enforce_eager": True, "enable_prefix_caching": False}
    launch = Launch("vllm", "tiny", adapter="adapter", arguments={**engine, "dtype": "bfloat16"})
    places = Places(bases, tmp_path, tmp_path)
    said, env = command(launch, places, 8123, "of one start")
    assert " ".join(said) == (
        f"{tmp_path}/vllm serve {bases}/tiny --host 127.0.0.1 --port 8123 --served-model-name tiny--base "
        '--load-format safetensors --structured-outputs-config {"backend": "guidance", '
        '"disable_any_whitespace": true} '
        "--dtype bfloat16 --no-enable-prefix-caching --enforce-eager "
        f"--tensor-parallel-size 2 --enable-lora --lora-modules tiny={bases}/adapter"
    )
    assert env["VLLM_API_KEY"] == "of one start"
    assert (env["VLLM_NO_USAGE_STATS"], env["VLLM_CPU_KVCACHE_SPACE"]) == ("1", "2")
    tools = Launch("vllm", "tiny", arguments={"tool_call_parser": "hermes"})
    for launched, can in (
        (launch, {"chat", "json_schema"}),
        (tools, {"chat", "json_schema", "tools"}),
    ):
        back_end = BackEnd("fast", "vllm", "", launch=launched)
        model = named(back_end, "ada", Named("tiny", 99))
        assert model.capabilities == can
        for now in (launch, tools):
            other = replace(back_end, launch=now)
            there = moved(model, back_end, other)
            assert there.capabilities == named(other, "ada", Named("tiny")).capabilities
            assert there.context_length == 8192  # until the server tells another one
    assert command(tools, places, 1, "")[0][-3:] == [
        "--tool-call-parser",
        "hermes",
        "--enable-auto-tool-choice",
    ]


def test_classes_come_from_a_folder_that_the_operator_alone_writes(tmp_path: Path) -> None:
    data, open_to_all = tmp_path / "data", tmp_path / "open"
    for folder in (data / "uploads", open_to_all):
        folder.mkdir(parents=True)
        (folder / "odd.py").touch()
    open_to_all.chmod(0o777)
    open_file = tmp_path / "open_file"
    open_file.mkdir(mode=0o755)
    (open_file / "odd.py").touch()
    (open_file / "odd.py").chmod(0o666)
    for classes in (None, data / "uploads", open_to_all, open_file, tmp_path / "missing"):
        with pytest.raises(InvalidOption, match="LLM_FASTAPI_MODEL_SERVERS_DIR"):
            command(Launch("custom", "odd:Parrot"), Places(data, data, data, classes), 1, "")
