"""The protocol itself: which tools there are, and what one of them says to a call."""

import logging
from importlib.metadata import version

from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import ApiError
from api.http.problems import for_caller, stamped
from api.http.request import get_caller
from api.routes.mcp.tools import TOOLS, Told, call

logging.getLogger("mcp").setLevel(logging.WARNING)  # it tells of each request twice

INSTRUCTIONS = (
    "Documents of this installation. Call `search` for passages to read yourself, each with its document and page, or "
    "`ask` for an answer whose citations were checked on their pages. `list_collections` tells where to look."
)
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)

Context = ServerRequestContext[dict[str, object], Request]


def over_http(most_bytes: int) -> ASGIApp:
    """An app for one request, whose body may have so many bytes. Who may call, and from where, was asked before."""
    manager = StreamableHTTPSessionManager(
        SERVER, json_response=True, stateless=True, max_request_body_size=most_bytes
    )

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async with manager.run():
            await manager.handle_request(scope, receive, send)

    return answer


async def _list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
    return ListToolsResult(
        tools=[
            Tool(
                name=name,
                description=tool.arguments.__doc__,
                input_schema=tool.arguments.model_json_schema(),
                annotations=READS,
            )
            for name, tool in TOOLS.items()
        ]
    )


async def _call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
    """What the tool tells; a refusal is told too, for the model that called to read."""
    http = context.request
    assert http is not None  # noqa: S101  there is none on other ways than HTTP
    try:
        told = await call(http, params.name, params.arguments or {})
    except ApiError as error:
        problem = stamped(for_caller(error, get_caller(http)).as_problem())
        return _result(Told(problem["detail"], problem), is_error=True)
    return _result(told)


def _result(told: Told, *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(text=told.text)],
        structured_content=dict(told.members),
        is_error=is_error,
    )


SERVER: Server[dict[str, object]] = Server(
    "llm-fastapi",
    version=version("llm-fastapi"),
    title="LLM-FastAPI",
    instructions=INSTRUCTIONS,
    on_list_tools=_list_tools,
    on_call_tool=_call_tool,
)
