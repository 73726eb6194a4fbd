"""The Model Context Protocol, tried with its own client against a real server."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from tests.fakes import FakeRuntime
from tests.service import listening_service

pytestmark = pytest.mark.anyio

ADMIN = "the-first-admin"
WARRANTY = "The Vanta heater has a warranty of 24 months."
QUESTION = "How long is the warranty of the Vanta heater?"
ERAS: tuple[Literal["legacy", "auto"], ...] = ("legacy", "auto")
"""The protocol with a handshake, and that of 2026 without."""


@dataclass
class Served:
    """A real server, its runtime, and keys by what they are for."""

    url: str
    runtime: FakeRuntime
    keys: dict[str, str]

    @asynccontextmanager
    async def client(
        self, key: str = "first", mode: Literal["legacy", "auto"] = "auto", **headers: str
    ) -> AsyncIterator[Client]:
        """The protocol's client with that key."""
        sent = {"Authorization": f"Bearer {self.keys[key]}", **headers}
        async with httpx2.AsyncClient(headers=sent, timeout=60) as http:
            transport = streamable_http_client(f"{self.url}/mcp", http_client=http)
            async with Client(transport, mode=mode) as client:
                yield client

    def post(self, message: Any, **headers: str) -> httpx2.Response:
        """A message as it is sent by hand."""
        accepted = {"Accept": "application/json, text/event-stream", **headers}
        return httpx2.post(f"{self.url}/mcp", json=message, headers=accepted, timeout=60)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("mcp")
    runtime = FakeRuntime(delay_seconds=0.005)
    with listening_service(folder, runtime, api_key=ADMIN, expansions=0) as (port, _):
        url = f"http://127.0.0.1:{port}"
        keys = {"first": ADMIN, "wrong": "sk-llm-wrong"}
        key = {"Authorization": f"Bearer {ADMIN}"}
        with httpx2.Client(base_url=url, headers=key, timeout=60) as admin:
            kinds: dict[str, dict[str, object]] = {
                "team": {"workspace": "team"},
                "slow": {"requests_per_minute": 3},
                "narrow": {"models": ["other"]},
                "train": {"scopes": ["train"]},
            }
            for alias, more in kinds.items():
                made = admin.post("/keys", json={"alias": alias, **more}).raise_for_status()
                keys[alias] = made.json()["key"]
            admin.post("/collections", json={"name": "handbooks"}).raise_for_status()
            file = {"file": ("handbook.txt", WARRANTY.encode())}
            imported = admin.post("/importDocument?collection=handbooks", files=file)
            imported.raise_for_status()
        yield Served(url, runtime, keys)


def text_of(result: Any) -> str:
    """The only text that a tool told."""
    assert isinstance(result, CallToolResult)
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def members_of(result: Any) -> Any:
    """What it told a program."""
    assert not result.is_error, result
    return result.structured_content


@pytest.mark.parametrize("mode", ERAS)
async def test_the_documents_are_found_searched_and_asked(
    served: Served, mode: Literal["legacy", "auto"]
) -> None:
    async with served.client(mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools.keys() == {"search", "ask", "list_collections", "list_documents"}
        assert tools["ask"].input_schema["required"] == ["question"]
        collections = await client.call_tool("list_collections", {})
        (one,) = members_of(collections)["collections"]
        assert (one["name"], one["documents"]) == ("handbooks", 1)
        assert text_of(collections) == f"handbooks ({one['id']}): 1 documents"
        where = {"collection": "handbooks"}
        documents = await client.call_tool("list_documents", where)
        assert members_of(documents)["documents"][0]["name"] == "handbook.txt"
        found = await client.call_tool("search", {"query": QUESTION, **where})
        (passage,) = members_of(found)["passages"]
        assert (passage["document"], passage["page"]) == ("handbook.txt", 1)
        assert 0 < passage["score"] <= 1
        assert WARRANTY in text_of(found)
        served.runtime.will_answer("It is 24 months [1].")
        answer = await client.call_tool("ask", {"question": QUESTION, **where, "model": None})
        (citation,) = members_of(answer)["citations"]
        assert citation["quote"] in WARRANTY
        assert (citation["document"], citation["page"]) == ("handbook.txt", 1)
        assert text_of(answer).startswith(
            "It is 24 months [1].\n\nSources:\n[1] handbook.txt, page 1"
        )


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("search", {"query": "x", "collection": "nowhere"}, "handbooks"),
        ("search", {"query": "x", "collection": "handbooks", "documents": ["gone"]}, "gone"),
        ("search", {}, "query: Required, but not given."),
        ("search", {"query": "x", "limit": 1000}, "limit: At most 100 is allowed."),
        ("ask", {"question": "x", "model": "nobody"}, "No model named 'nobody'. Models: demo."),
        ("guess", {}, "search, ask, list_collections, list_documents"),
    ],
)
async def test_a_refusal_is_told_to_the_model_that_called(
    served: Served, tool: str, arguments: dict[str, Any], said: str
) -> None:
    async with served.client() as client:
        result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert result.is_error
    assert said in text_of(result)
    assert "pydantic" not in text_of(result)


async def test_another_workspace_has_nothing_of_this_one(served: Served) -> None:
    async with served.client("team") as client:
        assert members_of(await client.call_tool("list_collections", {}))["collections"] == []
        for tool, asked in (("search", "query"), ("ask", "question")):
            theirs, made_up = [
                await client.call_tool(tool, {asked: QUESTION, "collection": name})
                for name in ("handbooks", "madeupone")
            ]
            assert text_of(theirs) == text_of(made_up).replace("madeupone", "handbooks")
            assert members_of(await client.call_tool("list_documents", {}))["documents"] == []


async def test_a_key_asks_only_the_models_that_it_may(served: Served) -> None:
    handbooks = {"collection": "handbooks"}
    async with served.client("narrow") as client:
        results = [
            await client.call_tool("ask", {"question": "x", **handbooks}),
            await client.call_tool("search", {"query": "x"}),
            await client.call_tool("search", {"query": "x", "model": "demo", **handbooks}),
        ]
        found = await client.call_tool("search", {"query": QUESTION, **handbooks})
        listed = await client.call_tool("list_documents", handbooks)
    assert {text_of(one) for one in results} == {"No model named 'demo'. Models: other."}
    assert WARRANTY in text_of(found)
    assert "handbook.txt" in text_of(listed)


@pytest.mark.parametrize(
    ("key", "status"), [("wrong", 401), ("train", 403)], ids=["wrong key", "no scope"]
)
def test_the_gate_stands_before_it(served: Served, key: str, status: int) -> None:
    sent = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answer = served.post(sent, Authorization=f"Bearer {served.keys[key]}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example"}, 421), ({"Origin": "https://evil.example"}, 403)],
)
def test_foreign_pages_are_refused_as_everywhere(
    served: Served, headers: dict[str, str], status: int
) -> None:
    answer = served.post({}, Authorization=f"Bearer {ADMIN}", **headers)
    assert answer.status_code == status


def test_a_message_has_an_end_and_no_names_that_nobody_knows(served: Served) -> None:
    def called(strange: list[int]) -> httpx2.Response:
        call = {"name": "search", "arguments": {"query": "x", "strange": strange}}
        sent = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        return served.post(sent, Authorization=f"Bearer {ADMIN}")

    assert called([1] * 2**19).status_code == 413
    told = called([1]).json()["result"]
    assert told["content"][0]["text"] == "strange: There is nothing of this name here."


def test_a_page_of_the_service_itself_may_call(served: Served) -> None:
    sent = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answer = served.post(sent, Authorization=f"Bearer {ADMIN}", Origin=served.url)
    assert len(answer.json()["result"]["tools"]) == 4


def test_limits_and_usage_are_those_of_the_key(served: Served) -> None:
    key = {"Authorization": f"Bearer {served.keys['slow']}"}
    call = {"name": "ask", "arguments": {"question": QUESTION, "collection": "handbooks"}}
    sent = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    answers = [served.post(sent, **key) for _ in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert answers[-1].headers["retry-after"]
    used = httpx2.get(f"{served.url}/usage", headers=key, timeout=60).json()
    (today,) = [one for one in used["usage"] if one["model"] == "demo"]
    assert today["requests"] == 3
    assert today["prompt_tokens"] > 0


@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28"])
async def test_who_goes_away_ends_the_answer(
    served: Served, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.runtime, "delay_seconds", 0.05)  # it would last for 100 seconds
    served.runtime.will_answer(" ".join(["word"] * 2000))
    arguments = {"question": QUESTION, "collection": "handbooks"}
    meta = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": "ask", "arguments": arguments, "_meta": meta}
    sent = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {
        "Accept": "application/json, text/event-stream",
        "Authorization": f"Bearer {ADMIN}",
        "MCP-Protocol-Version": version,
        "Mcp-Method": "tools/call",
        "Mcp-Name": "ask",
    }
    async with httpx2.AsyncClient(base_url=served.url, headers=headers, timeout=60) as http:
        asked = asyncio.create_task(http.post("/mcp", json=sent))
        await until(lambda: served.runtime.open_streams == 1)
        asked.cancel()
        await until(lambda: served.runtime.open_streams == 0)


async def until(holds: Any) -> None:
    """Wait until something holds; it fails after half a minute."""
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"[" * 100_000, json.dumps("x").encode()])
def test_what_is_no_message_is_refused(served: Served, body: bytes) -> None:
    headers = {
        "Authorization": f"Bearer {ADMIN}",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
    }
    answer = httpx2.post(f"{served.url}/mcp", content=body, headers=headers, timeout=60)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_there_is_no_stream_to_listen_to(served: Served) -> None:
    key = {"Authorization": f"Bearer {ADMIN}"}
    for method in ("GET", "DELETE"):
        answer = httpx2.request(method, f"{served.url}/mcp", headers=key, timeout=60)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
