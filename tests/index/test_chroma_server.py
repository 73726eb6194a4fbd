"""A ChromaDB server that is away, restarted, emptied, guarded, too old, or no ChromaDB server at all."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import numpy as np
import pytest

from api.errors import BackEndFailed, Unavailable
from api.index.chroma_server import ANSWER_SECONDS, open_server
from api.index.opening import open_index
from api.index.values import VectorSet
from api.index.vector_store import VectorStore
from api.settings import Settings
from api.store import open_store
from api.store.documents import Document
from tests.documents.house import House
from tests.documents.pdfs import pdf
from tests.fakes import FakeRuntime
from tests.index.library import Library
from tests.index.servers import ChromaServer, always, answering, chroma_server, guarded, passed_on

pytestmark = [pytest.mark.anyio, pytest.mark.real]

TOWER = "The tower of Lindau is 90 metres high."
BRIDGE = "The bridge of Konstanz was built in 1901."
FERRY = "The ferry to Meersburg leaves every hour."
SOME = VectorSet("demo", "tiny:4")
ONE = np.ones((1, 4), dtype=np.float32)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon."""
    monkeypatch.setattr("api.index.dense.FIRST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr("api.index.dense.LONGEST_PAUSE_SECONDS", 0.2)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    """A server that no test stops."""
    with chroma_server(tmp_path_factory.mktemp("shared")) as server:
        yield server.start()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChromaServer]:
    """A server that is not started yet."""
    with chroma_server(tmp_path / "server") as server:
        yield server


@pytest.fixture
def library(server: ChromaServer, tmp_path: Path) -> Iterator[Library]:
    """A library whose vectors are on the server."""
    library = Library(tmp_path, vectors=impatient(server)).open(vectors_behind=True)
    yield library
    library.close()


def impatient(server: ChromaServer) -> VectorStore:
    """A client that gives up soon."""
    return open_server(server.url, patience_seconds=0.1)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for a fact."""
    with anyio.fail_after(60):
        while not is_so():
            await anyio.sleep(0.02)


async def whole(library: Library) -> None:
    """Wait until the index is at rest and the server holds just the vectors of the database."""
    with anyio.fail_after(60):
        while True:
            try:
                if not any("compared" in note for note in await library.index.check()):
                    break
            except Unavailable:
                pass
            await anyio.sleep(0.02)
    assert library.vector_ids() == set(library.store.chunks.ready())


async def forgotten(library: Library, document: Document) -> None:
    """Delete a document."""
    library.store.documents.mark_deleting([document.id])
    await library.index.remove(document)
    library.store.documents.remove(document.id)


async def test_everything_goes_on_while_the_server_is_away(
    server: ChromaServer, library: Library
) -> None:
    with pytest.raises(Unavailable, match=server.url):
        await library.index.repair()
    tower = await library.add("tower.pdf", TOWER)
    await library.add("bridge.pdf", BRIDGE)
    assert (await library.found("bridge of Konstanz"))[0] == [BRIDGE, TOWER]
    with pytest.raises(Unavailable, match="searched in the database"):
        await library.index.check()
    server.start()
    await whole(library)

    server.kill()
    assert (await library.found("bridge of Konstanz"))[0] == [BRIDGE, TOWER]
    await library.add("ferry.pdf", FERRY)
    await forgotten(library, tower)
    server.start()
    await whole(library)
    assert (await library.found("bridge of Konstanz"))[0] == [BRIDGE, FERRY]


async def test_a_server_that_lost_its_volume_is_filled_again_at_the_next_start(
    server: ChromaServer, library: Library
) -> None:
    server.start()
    await library.index.repair()
    await library.add("places.pdf", TOWER, BRIDGE)
    library.close()
    server.lose_everything()
    library.vectors = impatient(server)
    library.open(vectors_behind=True)
    library.runtime.embedded.clear()
    assert len(await library.index.repair()) == 1
    assert library.runtime.embedded == []
    await whole(library)


@pytest.mark.parametrize("notices", ["a search", "an import"])
async def test_vectors_that_vanish_unnoticed_come_back_when_they_are_used(
    shared: ChromaServer, tmp_path: Path, notices: str
) -> None:
    library = Library(tmp_path, vectors=impatient(shared)).open(vectors_behind=True)
    await library.index.repair()
    await library.add("places.pdf", TOWER, BRIDGE)
    somebody = open_server(shared.url)
    for one in somebody.sets():
        somebody.drop(one)
    somebody.close()
    if notices == "a search":
        assert (await library.found("bridge"))[0][0] == BRIDGE
    else:
        await library.add("ferry.pdf", FERRY)
    await whole(library)
    assert library.vector_ids()
    library.close()


async def test_an_import_goes_on_through_a_restart_of_the_server(
    server: ChromaServer, tmp_path: Path
) -> None:
    server.start()
    house = House(tmp_path, vectors=impatient(server)).open()
    pages = [f"Section {n} says that locker {n} opens with code {n * 37}. " * 12 for n in range(12)]
    document, _ = await house.bring(pdf(*pages), wait=False)
    await until(lambda: house.store.chunks.count(document.content_id) > 0)
    server.kill()
    assert (await house.ended(document)).status == "ready"
    server.start()
    await until(lambda: house.vector_ids() == set(house.store.chunks.ready()))
    await house.deleter.delete([document])
    await house.deleter.settled()
    await until(lambda: house.vector_ids() == set())
    await house.close()


def test_when_one_collection_is_lost_the_others_are_looked_for_anew(shared: ChromaServer) -> None:
    vectors, somebody = impatient(shared), open_server(shared.url)
    others = [VectorSet(f"model {number}", "tiny:4") for number in range(3)]
    for one in others:
        vectors.put(one, [1], ONE)
        somebody.drop(one)
    with pytest.raises(Unavailable, match="lost"):
        vectors.ids(others[0])
    assert [vectors.ids(one) for one in others] == [set()] * 3
    somebody.close()
    vectors.close()


def test_a_call_waits_out_a_quick_restart(server: ChromaServer) -> None:
    vectors = open_server(server.url, patience_seconds=60)
    starting = threading.Thread(target=server.start)
    starting.start()
    vectors.put(SOME, [1], ONE)
    starting.join()
    assert vectors.ids(SOME) == {1}
    vectors.close()


@pytest.mark.parametrize(
    ("name", "value"), [("Authorization", "Bearer s3cret"), ("X-Chroma-Token", "s3cret")]
)
async def test_the_token_of_the_settings_is_sent(
    shared: ChromaServer, tmp_path: Path, name: str, value: str
) -> None:
    with answering(guarded(shared, {name: value})) as url:
        settings = Settings.model_validate(
            {"chroma_url": url, "chroma_token": "s3cret", "chroma_token_header": name}
        )
        settings = settings.model_copy(update={"data_dir": tmp_path})
        store = open_store(settings.database_path)
        index = open_index(settings, store, FakeRuntime())
        await index.repair()
        await index.check()
        index.close()
        store.close()


def test_a_refused_token_is_named(shared: ChromaServer) -> None:
    with answering(guarded(shared, {"Authorization": "Bearer right"})) as url:
        vectors = open_server(url, {"Authorization": "Bearer wrong"})
        with pytest.raises(Unavailable, match=r"401.*LLM_FASTAPI_CHROMA_TOKEN") as refused:
            vectors.put(SOME, [1], ONE)
        assert "wrong" not in refused.value.detail
        vectors.close()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((404, "application/json", '{"detail":"Not Found"}'), "version 1.0 or later"),
        ((200, "application/json", '"0.6.3"'), "has version 0.6.3"),
        ((200, "text/html", "<h1>It works!</h1>"), "is no ChromaDB server"),
        ((301, "text/html", "Moved"), "is no ChromaDB server"),
        ((503, "text/html", "Starting"), "cannot serve now"),
    ],
)
def test_what_is_no_server_of_ours_is_said(answer: tuple[int, str, str], says: str) -> None:
    with answering(always(*answer)) as url:
        vectors = open_server(url)
        with pytest.raises(Unavailable, match=says):
            vectors.check()
        vectors.close()


def test_an_error_of_the_server_itself_is_passed_on() -> None:
    error = '{"error":"InternalError","message":"the segment is torn"}'
    with answering(always(500, "application/json", error)) as url:
        vectors = open_server(url)
        with pytest.raises(BackEndFailed, match="the segment is torn"):
            vectors.put(SOME, [1], ONE)
        vectors.close()


def test_a_server_that_says_nothing_keeps_nobody_waiting_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        vectors = open_server(f"http://127.0.0.1:{silent.getsockname()[1]}", answer_seconds=0.1)
        with pytest.raises(Unavailable, match="timed out"):
            vectors.put(SOME, [1], ONE)
        vectors.close()


def test_no_call_outlasts_the_time_that_a_stop_has() -> None:
    assert Settings().shutdown_seconds > ANSWER_SECONDS


def test_the_server_is_not_reached_through_the_proxy_for_the_way_out(
    shared: ChromaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with answering(always(403, "text/html", "Blocked")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        vectors = open_server(shared.url)
        vectors.check()
        vectors.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for the loopback address, signed by itself."""
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=chroma"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", str(file)),
        ],
        check=True,
        capture_output=True,
    )
    return file


def test_tls_is_checked_against_the_certificates_of_the_settings(
    shared: ChromaServer, certificate: Path
) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    with answering(lambda request: passed_on(request, shared), tls) as url:
        vectors = open_server(url, ca_file=certificate)
        vectors.check()
        vectors.close()
        strangers = open_server(url)
        with pytest.raises(Unavailable, match=r"certificate.*LLM_FASTAPI_CHROMA_CA_FILE"):
            strangers.check()
        strangers.close()


@pytest.mark.parametrize("url", ["chromadb:8000", "http://", "", "ftp://chromadb"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(BackEndFailed, match="LLM_FASTAPI_CHROMA_URL"):
        open_server(url)


def test_certificates_that_cannot_be_read_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(BackEndFailed, match="LLM_FASTAPI_CHROMA_CA_FILE"):
            open_server("https://127.0.0.1:1", ca_file=tmp_path / name)


def test_a_password_in_the_address_is_not_told() -> None:
    with answering(always(503, "text/html", "Starting")) as url:
        vectors = open_server(url.replace("http://", "http://user:pa55@"))
        with pytest.raises(Unavailable) as away:
            vectors.check()
        assert "pa55" not in away.value.detail
        vectors.close()
