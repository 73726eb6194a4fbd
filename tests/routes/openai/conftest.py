"""The stock SDK, which validates every answer and every event of a stream, over the service of a test.

Each answer is held against OpenAI's specification beside.
"""

import openai
import pytest
from starlette.testclient import TestClient

from tests.routes.openai import specification
from tests.service import ADDRESS, Service


def sdk_over(client: TestClient, key: str = "none", *, strict: bool = True) -> openai.OpenAI:
    """OpenAI's client without repeats, which takes nothing that its types do not say unless told otherwise."""
    client.event_hooks = {"response": [specification.check]}
    return openai.OpenAI(
        api_key=key,
        base_url=f"{ADDRESS}/v1",
        http_client=client,
        max_retries=0,
        _strict_response_validation=strict,
    )


@pytest.fixture
def sdk(service: Service) -> openai.OpenAI:
    """OpenAI's client over the service."""
    return sdk_over(service.client)


@pytest.fixture
def trainable(service: Service) -> None:
    """The service has a base to fine-tune, whose template nobody can read."""
    base = service.app.state.services.settings.base_models_dir / "demo"
    base.mkdir(parents=True)
    (base / "config.json").write_text("{}")
