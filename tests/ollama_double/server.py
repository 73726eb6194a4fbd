"""The server: routes to the rooms beside it, and the manners that all of Ollama's answers share."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.ollama_double import create, embed, generate, pull, shown
from tests.ollama_double.asked import CHAT_FIELDS, GENERATE_FIELDS
from tests.ollama_double.config import Config, is_allowed
from tests.ollama_double.engine import Engine
from tests.ollama_double.manifests import Manifests, Model
from tests.ollama_double.names import parse
from tests.ollama_double.wire import Failure, JSONObject, Lines, body, error, stream

VERSION = "0.32.15"
Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(config: Config) -> Starlette:
    """The application; its llama.cpp processes end with it."""
    server = _Server(config)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await server.engine.close()

    routes = [
        Route(path, _translated(endpoint, config), methods=methods)
        for path, endpoint, methods in server.routes()
    ]
    refusals: Any = {404: _not_found, 405: _not_allowed}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=refusals)
    app.state.engine = server.engine
    app.router.redirect_slashes = False
    return app


def _translated(endpoint: Endpoint, config: Config) -> Endpoint:
    async def answer(request: Request) -> Response:
        if not is_allowed(request, config):
            return Response(status_code=403)
        try:
            return await endpoint(request)
        except Failure as failure:
            return error(failure)
        except ClientDisconnect:
            return Response(status_code=499)

    return answer


async def _not_found(request: Request, _: Exception) -> Response:
    return PlainTextResponse("404 page not found", 404)


async def _not_allowed(request: Request, _: Exception) -> Response:
    return PlainTextResponse("405 method not allowed", 405)


class _Server:
    def __init__(self, config: Config) -> None:
        self._store = Manifests(config.models)
        self._store.prune()
        self._library = config.library
        self.engine = Engine(
            max_queue=config.max_queue,
            keep_seconds=config.keep_seconds,
            has_gpu=config.has_gpu,
        )
        find, context, threads = self._find, config.context, config.threads
        self._generator = generate.Generator(find, self.engine, context, threads)
        self._embedder = embed.Embedder(find, self.engine, context, threads)
        self._creator = create.Creator(self._store, self._library, config.create_pause_seconds)

    def routes(self) -> list[tuple[str, Endpoint, list[str]]]:
        """Path, endpoint and methods."""
        left_out = ("/api/push", "/api/me", "/api/signout", "/v1/{rest:path}")
        return [
            ("/", self._root, ["GET", "HEAD"]),
            ("/api/version", self._version, ["GET", "HEAD"]),
            ("/api/tags", self._tags, ["GET", "HEAD"]),
            ("/api/ps", self._ps, ["GET"]),
            ("/api/show", self._show, ["POST"]),
            ("/api/copy", self._copy, ["POST"]),
            ("/api/delete", self._delete, ["DELETE"]),
            ("/api/create", self._create, ["POST"]),
            ("/api/pull", self._pull, ["POST"]),
            ("/api/blobs/{digest}", self._blob, ["HEAD", "POST"]),
            ("/api/chat", self._chat, ["POST"]),
            ("/api/generate", self._generate, ["POST"]),
            ("/api/embed", self._embed, ["POST"]),
            ("/api/embeddings", self._embeddings, ["POST"]),
            *((path, self._left_out, ["GET", "POST"]) for path in left_out),
        ]

    def _find(self, text: str) -> Model | None:
        if parse(text) is None:
            raise Failure(400, "invalid model name")
        return self._store.find(text)

    async def _root(self, _: Request) -> Response:
        return PlainTextResponse("Ollama is running")

    async def _version(self, _: Request) -> Response:
        return JSONResponse({"version": VERSION})

    async def _tags(self, _: Request) -> Response:
        return JSONResponse({"models": [shown.entry(model) for model in self._store.all()]})

    async def _ps(self, _: Request) -> Response:
        return JSONResponse({"models": self.engine.listed()})

    async def _left_out(self, _: Request) -> Response:
        raise Failure(501, "the double leaves this out")

    async def _show(self, request: Request) -> Response:
        fields = {"model": "string", "name": "string", "verbose": "bool", "system": "string"}
        asked = await body(request, "ShowRequest", fields)
        text = _named(asked)
        name = parse(text)
        if name is None:
            raise Failure(400, "invalid model name")
        model = self._store.find(text)
        try:
            if model:
                return JSONResponse(shown.show(model, verbose=bool(asked.get("verbose"))))
        except FileNotFoundError:
            pass  # a file of it is missing, and that is all that is said
        raise Failure(404, f"model '{name.short}' not found")

    async def _copy(self, request: Request) -> Response:
        fields = {"source": "string", "destination": "string"}
        asked = await body(request, "CopyRequest", fields)
        names = {key: parse(asked.get(key) or "") for key in fields}
        for key, name in names.items():
            if name is None:
                raise Failure(400, f'{key} "{asked.get(key) or ""}" is invalid')
        model, target = self._store.find(asked["source"]), names["destination"]
        if model is None or target is None:
            raise Failure(404, f'model "{asked["source"]}" not found')
        self._store.copy(model, self._store.existing(target))
        return Response()

    async def _delete(self, request: Request) -> Response:
        asked = await body(request, "DeleteRequest", {"model": "string", "name": "string"})
        text = _named(asked)
        name = parse(text)
        if name is None:
            raise Failure(400, f'name "{text}" is invalid')
        if not self._store.remove(self._store.existing(name)):
            raise Failure(404, f"model '{text}' not found")
        return Response()

    async def _blob(self, request: Request) -> Response:
        digest = request.path_params["digest"]
        path = self._store.blobs.path(digest)
        if request.method == "HEAD":
            return Response(status_code=200 if path.exists() else 404)
        if path.exists():
            return Response(headers={"connection": "close"})  # the body is not read
        with self._store.blobs.incoming() as incoming:
            async for chunk in request.stream():
                incoming.write(chunk)
            stored, _ = incoming.keep()
        if stored != digest.replace("sha256-", "sha256:"):
            raise Failure(400, f'digest mismatch, expected "{digest}", got "{stored}"')
        return Response(status_code=201)

    async def _create(self, request: Request) -> Response:
        asked = await body(request, "CreateRequest", create.FIELDS)
        return await _progress(self._creator.create(asked), asked)

    async def _pull(self, request: Request) -> Response:
        asked = await body(request, "PullRequest", pull.FIELDS)
        name = parse(asked.get("model") or asked.get("name") or "")
        if name is None:
            raise Failure(400, "invalid model name")
        return await _progress(
            pull.pull(self._store, self._library, self._store.existing(name)), asked
        )

    async def _chat(self, request: Request) -> Response:
        asked = await body(request, "ChatRequest", CHAT_FIELDS)
        return await _answered(request, self._generator.chat, asked)

    async def _generate(self, request: Request) -> Response:
        asked = await body(request, "GenerateRequest", GENERATE_FIELDS)
        return await _answered(request, self._generator.generate, asked)

    async def _embed(self, request: Request) -> Response:
        asked = await body(request, "EmbedRequest", embed.FIELDS)
        return JSONResponse(await _while_connected(request, self._embedder.embed(asked)))

    async def _embeddings(self, request: Request) -> Response:
        asked = await body(request, "EmbeddingRequest", embed.FIELDS)
        return JSONResponse(await _while_connected(request, self._embedder.embeddings(asked)))


def _named(asked: JSONObject) -> str:
    text = asked.get("model") or asked.get("name") or ""
    if not text:
        raise Failure(400, "model is required")
    return str(text)


async def _progress(lines: Lines, asked: JSONObject) -> Response:
    if asked.get("stream") is not False:
        return await stream(lines)
    return JSONResponse([line async for line in lines][-1])


async def _answered(
    request: Request, ask: Callable[[JSONObject], Awaitable[Lines | JSONObject]], asked: JSONObject
) -> Response:
    streams = asked.get("stream") is not False

    async def answer() -> Response:
        answered = await ask(asked)
        if isinstance(answered, dict):
            return JSONResponse(answered)
        return await stream(answered) if streams else JSONResponse(await generate.whole(answered))

    response: Response = await _while_connected(request, answer())
    return response


async def _while_connected(request: Request, work: Awaitable[Any]) -> Any:
    """Do what takes long; it is cancelled when the client goes."""
    task = asyncio.ensure_future(work)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        gone.cancel()
        task.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
