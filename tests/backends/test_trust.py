"""Back ends whose certificates a CA of one's own has signed."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
import uvicorn

from api.backends.opening import open_back_ends
from api.errors import BackEndFailed, CannotStart
from api.runtime.openai_style.client import OpenAIClient
from api.settings import Settings
from tests.backends.stand_in import KEY, StandIn
from tests.databases import open_migrated

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The stand-in over https, and the file of the CA that nobody but its operator knows."""
    folder = tmp_path_factory.mktemp("trust")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    file = folder / "server.pem"
    config = uvicorn.Config(
        StandIn().app, port=0, log_level="error", ssl_certfile=file, ssl_keyfile=str(file)
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"https://127.0.0.1:{port}/generic/v1", folder / "ca.pem"
    server.should_exit = True
    thread.join()


async def test_a_ca_of_ones_own_is_believed_when_it_is_named(encrypted: tuple[str, Path]) -> None:
    address, ca_file = encrypted
    client = OpenAIClient("cellar", address, lambda: KEY, ca_file=ca_file)
    assert (await client.get("/models"))["data"][0]["id"] == "big"
    await client.close()


async def test_a_certificate_that_is_not_believed_is_said_and_not_asked_again(
    encrypted: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, ca_file = encrypted
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))  # nothing of the environment decides

    async def sleep(_: float) -> None:
        raise AssertionError("it is tried again")

    client = OpenAIClient("cellar", address, lambda: KEY, sleep=sleep)
    with pytest.raises(BackEndFailed, match=r"not believed.*LLM_FASTAPI_CA_FILE"):
        await client.get("/models")
    await client.close()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_cas_that_is_none_keeps_the_service_from_starting(
    tmp_path: Path, content: str | None
) -> None:
    ca_file = tmp_path / "ca.pem"
    if content:
        ca_file.write_text(content)
    settings = Settings(data_dir=tmp_path, ca_file=ca_file)
    store = open_migrated(settings.database_path)
    with pytest.raises(CannotStart, match="LLM_FASTAPI_CA_FILE"):
        open_back_ends(settings, store)
    store.close()
