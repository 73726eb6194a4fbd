"""How the double stores, creates, shows, copies, deletes and pulls."""

import hashlib
import os
import socket
import time

import pytest

from tests.ollama_double import gguf_file, rows, templates, variants
from tests.ollama_double.asking import Server, until
from tests.ollama_double.conftest import Opener
from tests.ollama_double.rows import HI, TOOL

pytestmark = pytest.mark.real


def test_a_new_blob_is_stored_in_one_piece_or_in_chunks(server: Server) -> None:
    for content in (b"one piece", iter([b"in ", b"chunks"])):
        data = content if isinstance(content, bytes) else b"in chunks"
        path = f"/api/blobs/sha256:{hashlib.sha256(data).hexdigest()}"
        answer = server.http.post(path, content=content)
        assert (answer.status_code, answer.content) == (201, b"")
        assert server.http.head(path).status_code == 200


def test_a_blob_that_is_there_is_answered_before_its_body_is_read(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.http.base_url.port or 0), timeout=60) as raw:
        head = f"POST /api/blobs/{server.uploads['good']} HTTP/1.1\r\nHost: localhost\r\n"
        raw.sendall(f"{head}Content-Length: 5000000\r\n\r\n".encode())
        answer = b""
        while part := raw.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_blob_with_wrong_content_is_refused_and_kept_under_its_true_digest(
    server: Server,
) -> None:
    true = f"sha256:{hashlib.sha256(b'something else').hexdigest()}"
    answer = server.http.post(f"/api/blobs/{rows.ABSENT}", content=b"something else")
    told = f'digest mismatch, expected "{rows.ABSENT}", got "{true}"'
    assert (answer.status_code, answer.json()) == (400, {"error": told})
    assert server.http.head(f"/api/blobs/{true}").status_code == 200


def test_a_digest_may_have_a_dash_but_no_capitals(server: Server) -> None:
    dash = hashlib.sha256(b"dash").hexdigest()
    assert server.http.post(f"/api/blobs/sha256-{dash}", content=b"dash").status_code == 201
    assert server.http.head(f"/api/blobs/sha256:{dash}").status_code == 200
    capitals = hashlib.sha256(b"big").hexdigest().upper()
    assert server.http.post(f"/api/blobs/sha256:{capitals}", content=b"big").status_code == 400


def test_an_upload_that_is_broken_off_leaves_nothing(server: Server) -> None:
    before = set((server.folder / "blobs").iterdir())
    with socket.create_connection(("127.0.0.1", server.http.base_url.port or 0), timeout=60) as raw:
        head = f"POST /api/blobs/{rows.ABSENT} HTTP/1.1\r\nHost: localhost\r\n"
        raw.sendall(f"{head}Content-Length: 5000\r\n\r\n".encode() + b"x" * 1000)
        until(lambda: set((server.folder / "blobs").iterdir()) != before)
    until(lambda: set((server.folder / "blobs").iterdir()) == before)


def test_blobs_of_no_model_go_at_a_start_once_they_are_old(open_server: Opener) -> None:
    server = open_server()
    young, old = server.upload(b"young"), server.upload(b"old")
    hour_ago = time.time() - 3700
    for path in (server.folder / "blobs").iterdir():
        if path.name != young.replace(":", "-"):
            os.utime(path, (hour_ago, hour_ago))
    again = open_server()
    statuses = [again.http.head(f"/api/blobs/{digest}").status_code for digest in (young, old)]
    assert statuses == [200, 404]
    assert again.names() == ["demo:latest", "embedder:latest", "turns:latest"]


def test_a_file_is_written_anew_without_its_name(server: Server) -> None:
    digest = server.upload(server.good.read_bytes())
    lines = server.lines("/api/create", model="anew", files={"m.gguf": digest})
    told = [line["status"] for line in lines]
    assert told[:2] == ["parsing GGUF", "verifying conversion"]
    assert told[2].split()[2:3] == ["layer"]
    assert told[-2:] == ["writing manifest", "success"]
    layer = told[2].split()[-1]
    assert layer != digest
    assert "general.name" in gguf_file.read(server.good).values
    assert (
        "general.name"
        not in gguf_file.read(server.folder / "blobs" / layer.replace(":", "-")).values
    )


def test_a_template_that_looks_like_chatml_is_replaced(server: Server) -> None:
    odd = variants.TURNS + "{# made by hand #}"
    digest = server.upload(variants.with_template(server.good, odd))
    told = [
        line["status"]
        for line in server.lines("/api/create", model="odd", files={"m.gguf": digest})
    ]
    assert told[3] == "using autodetected template chatml"
    shown = server.ask("/api/show", model="odd")
    assert shown["template"] == templates.BUILTINS[0].go
    assert [line.split()[1] for line in shown["parameters"].splitlines()] == [
        '"<|im_start|>"',
        '"<|im_end|>"',
    ]


def test_a_template_with_tools_is_kept(server: Server) -> None:
    shown = server.create("tooled", variants.with_template(server.good, variants.WITH_TOOLS))
    assert shown["template"] == variants.WITH_TOOLS
    answer = server.chat("tooled", tools=[TOOL])
    assert answer["status"] == 200


def test_a_model_without_a_template_gets_the_prompt_alone(server: Server) -> None:
    shown = server.create("bare", variants.with_template(server.good, None))
    assert shown["template"] == "{{ .Prompt }}"


def test_a_template_of_the_request_wins(server: Server) -> None:
    own = "{{ range .Messages }}{{ .Content }}\n{{ end }}"
    assert server.create("own", "demo", template=own)["template"] == own


def test_a_base_hands_down_what_is_not_set_anew(server: Server) -> None:
    first = {"temperature": 0, "num_predict": 2, "num_ctx": 1048576}
    server.create("first", "demo", system="One.", parameters=first, license=["a", "b"], messages=HI)
    second = server.create("second", "first", system="Two.", parameters={"temperature": 0.5})
    assert second["system"] == "Two."
    assert second["license"] == "a\nb"
    assert second["messages"] == HI
    assert second["parameters"].splitlines() == [
        "temperature                    0.5",
        "num_predict                    2",
        "num_ctx                        1.048576e+06",
    ]
    assert second["details"]["parent_model"] == "first:latest"


def test_a_model_is_overwritten_and_names_keep_their_first_case(server: Server) -> None:
    server.create("Once", "demo", system="One.")
    server.create("oNCE", "demo", system="Two.")
    assert "Once:latest" in server.names()
    assert "oNCE:latest" not in server.names()
    assert server.ask("/api/show", model="ONCE")["system"] == "Two."


def test_odd_parameters_and_roles_are_taken_and_fail_when_run(server: Server) -> None:
    server.create("hot", "demo", parameters={"temperature": "hot", "nonsense": 1})
    answer = server.chat("hot", options={})
    assert answer == {"error": 'option "temperature" must be of type float32', "status": 500}
    server.create("role", "demo", messages=[{"role": "nobody", "content": "x"}])


def test_names_with_dots_capitals_and_a_namespace_are_valid(server: Server) -> None:
    for name, shown in (("a..b", "a..b:latest"), ("me/BIG:v1", "me/BIG:v1")):
        server.create(name, "demo")
        assert shown in server.names()


def test_a_creation_whose_client_goes_may_make_the_model_all_the_same(open_server: Opener) -> None:
    server = open_server(create_pause_seconds=0.3)
    with server.http.stream(
        "POST", "/api/create", json={"model": "gone", "from": "demo"}
    ) as answer:
        assert next(answer.iter_lines())
    assert "gone:latest" not in server.names()
    deadline = time.monotonic() + 60
    while "gone:latest" not in server.names() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "gone:latest" in server.names()


def test_models_are_there_after_a_restart(open_server: Opener) -> None:
    open_server().create("kept", "demo", system="Stay.")
    assert open_server().ask("/api/show", model="kept")["system"] == "Stay."


def test_without_internet_nothing_can_be_pulled(open_server: Opener) -> None:
    server = open_server()
    address = "https://model-library/v2/library/nobody/manifests/latest"
    told = f'pull model manifest: Get "{address}": dial tcp: lookup model-library: no such host'
    for path, body in (("/api/pull", {}), ("/api/create", {"from": "nobody"})):
        lines = server.lines(path, model="nobody", **body)
        assert lines == [{"status": "pulling manifest"}, {"error": told}]


def test_a_missing_base_is_pulled_from_the_library(server: Server) -> None:
    lines = server.lines("/api/pull", model="base")
    told = [line["status"] for line in lines]
    assert told[0] == "pulling manifest"
    assert told[-3:] == ["verifying sha256 digest", "writing manifest", "success"]
    assert lines[-4]["completed"] == lines[-4]["total"] == server.good.stat().st_size
    assert server.http.request("DELETE", "/api/delete", json={"model": "base"}).status_code == 200
    server.create("over", "base")
    assert {"base:latest", "over:latest"} <= set(server.names())


def test_show_tells_all_and_lists_only_when_asked(server: Server) -> None:
    shown = server.ask("/api/show", name="demo")
    keys = "license modelfile parameters template system details messages model_info tensors capabilities modified_at"
    assert set(shown) == {*keys.split(), "status"}
    assert shown["capabilities"] == ["completion"]
    assert "bos_token" in shown["template"]
    info = shown["model_info"]
    assert info["tokenizer.ggml.tokens"] is None
    assert not {"general.name", "tokenizer.chat_template"} & set(info)
    verbose = server.ask("/api/show", model="embedder", verbose=True)
    assert "[CLS]" in verbose["model_info"]["tokenizer.ggml.tokens"]
    assert verbose["capabilities"] == ["embedding"]


def test_tags_tell_what_a_model_is(server: Server) -> None:
    entries = {entry["name"]: entry for entry in server.http.get("/api/tags").json()["models"]}
    demo = entries["demo:latest"]
    assert len(demo["digest"]) == 64
    assert demo["details"]["quantization_level"] == "F16"
    assert {"context_length", "embedding_length", "family", "parameter_size"} <= set(
        demo["details"]
    )
    assert demo["size"] > server.good.stat().st_size - 10_000
    assert demo["modified_at"].endswith("Z")


def test_weights_of_32_bits_have_an_unknown_quantization(server: Server) -> None:
    shown = server.create("wide", variants.unquantized(server.good))
    assert shown["details"]["quantization_level"] == "unknown"


def test_a_copy_lives_on_when_its_model_is_deleted(server: Server) -> None:
    server.create("one", "demo", system="Hello.")
    answer = server.http.post("/api/copy", json={"source": "one", "destination": "two"})
    assert (answer.status_code, answer.content) == (200, b"")
    answer = server.http.request("DELETE", "/api/delete", json={"model": "ONE"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert server.ask("/api/show", model="two")["system"] == "Hello."
