"""The Swagger page under a path of nginx, with a key, in a browser: it opens without the key, and works with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.swagger import CHROMIUM, SwaggerPage, swagger_page
from tests.listening import reserved
from tests.proxy.nginx import running_nginx, server_with_path
from tests.service import listening_service

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not here: apt-get install chromium"),
]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[SwaggerPage]:
    with (
        reserved() as port,
        listening_service(tmp_path / "data", api_key="the key") as (service, _),
        running_nginx(tmp_path, server_with_path(port, service), port),
        swagger_page(f"http://127.0.0.1:{port}/llm") as page,
    ):
        yield page


def test_the_page_asks_for_the_key_and_then_its_calls_work(page: SwaggerPage) -> None:
    status, refused = page.execute("list_models")
    assert (status, refused["title"]) == (401, "Key needed")
    page.authorize("the key")
    status, answer = page.execute("generate", user_prompt="hello", modelName="demo")
    assert (status, answer["message"]) == (200, "hello")
