"""The stock SDK, which validates every answer and every event of a stream, over the service of a test."""

import openai
import pytest
from starlette.testclient import TestClient

from tests.service import ADDRESS, Service


def sdk_over(client: TestClient, key: str = "none") -> openai.OpenAI:
    """OpenAI's client, which takes nothing that its types do not say, without repeats."""
    return openai.OpenAI(
        api_key=key,
        base_url=f"{ADDRESS}/v1",
        http_client=client,
        max_retries=0,
        _strict_response_validation=True,
    )


@pytest.fixture
def sdk(service: Service) -> openai.OpenAI:
    """OpenAI's client over the service."""
    return sdk_over(service.client)
