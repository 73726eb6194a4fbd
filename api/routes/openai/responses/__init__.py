"""/v1/responses: a model answers what is said, or goes on with what was said before; what it answered is kept."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from api.errors import BadRequest, NotFound
from api.http.openai_errors import PREFIX
from api.http.request import ServicesDep, asked_model
from api.http.sse import ServerEvent, begun, while_connected
from api.rag import Question
from api.rag.images import ROOM_BYTES
from api.routes.openai.body import Page, as_sent, json_body, query, refuse
from api.routes.openai.formats import must_have_form
from api.routes.openai.pages import page as list_of
from api.routes.openai.responses.choices import Plan
from api.routes.openai.responses.events import Writer
from api.routes.openai.responses.items import (
    InputItem,
    MessageItem,
    OtherItem,
    Placed,
    ReferenceItem,
    conversation,
    kept,
    read,
)
from api.routes.openai.responses.request import SENT_AS, UNSUPPORTED, ResponseRequest
from api.routes.openai.responses.searching import answered, files_of, sources_of, stores_of
from api.routes.openai.tools import offered
from api.runtime import Message
from api.services import Services

JSON = dict[str, Any]
router = APIRouter(prefix=PREFIX + "/responses")


@router.post("", operation_id="createResponse")
async def create(
    http: Request,
    request: Annotated[
        ResponseRequest,
        Depends(json_body(ResponseRequest, UNSUPPORTED, more_bytes=ROOM_BYTES, default_model=True)),
    ],
    services: ServicesDep,
) -> Response:
    """One response, whole or event by event."""
    own = await _items(request, services)
    plan = request.plan()
    question, notice = await _question(request, plan, own, services)
    writer = Writer(
        {**request.said_again(question.model), **({"notice": notice} if notice else {})},
        has_form=must_have_form(question.options),
        shows_results="file_search_call.results" in request.include,
    )

    async def keep(response: JSON) -> bool:
        said = [kept(one.item) for one in own]
        previous = request.previous_response_id or ""
        body = {name: value for name, value in response.items() if name != "output"}
        return await services.responses.keep(
            response["id"], previous, body, said, response["output"]
        )

    files = files_of(question, plan, services)
    events = writer.written(answered(question, services), files, keep)
    with as_sent(SENT_AS):
        if request.stream:
            return await begun(http, events, writer.failure)
        await while_connected(http, _drained(events))
    return JSONResponse(writer.response)


@router.get("/{response_id}", operation_id="retrieveResponse")
async def retrieve(
    response_id: str, services: ServicesDep, stream: Annotated[bool, Query()] = False
) -> JSON:
    """A response that is kept."""
    if stream:
        raise refuse("stream", "Only the request that makes a response streams it.")
    found = await services.responses.get(response_id)
    return {**found.response, "output": found.output}


@router.delete("/{response_id}", operation_id="deleteResponse")
async def delete(response_id: str, services: ServicesDep) -> JSON:
    """Forget a response, and what went into it."""
    await services.responses.delete(response_id)
    return {"id": response_id, "object": "response", "deleted": True}


@router.post("/{response_id}/cancel", operation_id="cancelResponse")
async def cancel(response_id: str, services: ServicesDep) -> None:
    """Nothing that is kept is still being made: `errors.BadRequest`."""
    await services.responses.get(response_id)
    raise BadRequest("It is not made in the background, and has ended. Nothing is to be cancelled.")


class ItemsPage(Page):
    """Which part of the items, and from which end."""

    order: Literal["asc", "desc"] = "desc"


@router.get("/{response_id}/input_items", operation_id="listInputItems")
async def input_items(
    response_id: str,
    services: ServicesDep,
    page: Annotated[ItemsPage, Depends(query(ItemsPage))],
) -> JSON:
    """What was said in the request for a response, the last first; what was said before is that of the one before."""
    items = list((await services.responses.get(response_id)).input)
    if page.order == "desc":
        items.reverse()
    ids = [one["id"] for one in items]
    if page.after and page.after not in ids:
        raise NotFound(f"Item with id {page.after!r} not found.", where="after")
    start = ids.index(page.after) + 1 if page.after else 0
    part = items[start : start + page.limit]
    return list_of(part, has_more=start + len(part) < len(items))


async def _drained(events: AsyncGenerator[ServerEvent, None]) -> None:
    """For who waits for the whole response, which is the same."""
    async with aclosing(events):
        async for _ in events:
            pass


async def _items(request: ResponseRequest, services: Services) -> list[Placed]:
    """What the request says, those items that are kept in the place of their ids."""
    if isinstance(request.input, str):
        return [Placed("input", MessageItem(role="user", content=request.input))]
    named = [one.id for one in request.input if isinstance(one, ReferenceItem)]
    known = await services.responses.items(named)
    return await run_sync(_placed, request.input, known)


def _placed(items: Sequence[InputItem], known: Mapping[str, Any]) -> list[Placed]:
    """The items at their places; in a thread, for those that are kept are read each time that they are named."""
    placed = []
    for number, item in enumerate(items):
        where = f"input.{number}"
        if isinstance(item, OtherItem):
            raise refuse(f"{where}.type", f"There is no {item.type[:80]!r} here.")
        if isinstance(item, ReferenceItem):
            if item.id not in known:
                raise NotFound(f"Item with id {item.id!r} not found.", where=f"{where}.id")
            (item,) = read([known[item.id]])
        placed.append(Placed(where, item))
    return placed


async def _question(
    request: ResponseRequest, plan: Plan, own: Sequence[Placed], services: Services
) -> tuple[Question, str]:
    """What is asked of the model: all that was said before, and what is said now; and a notice, if any. Beside the
    event loop, for that may be thousands of items.
    """
    stores = await stores_of(plan, request.model, services)
    model = await asked_model(services, request.model, over_documents=bool(stores))
    options, notice = offered(request.options(plan), request.tool_choice, model)
    previous = request.previous_response_id
    kept_items = await services.responses.before(previous) if previous else []
    before = await run_sync(read, kept_items)
    placed = [*(Placed("previous_response_id", one) for one in before), *own]
    sees = "images" in model.capabilities
    messages = await run_sync(partial(conversation, placed, sees=sees))
    if request.instructions:
        messages.insert(0, Message("system", request.instructions))
    sources = await sources_of(stores, plan, messages, services)
    said = request.variables
    question = Question(model, messages, options=options, sources=sources, variables=said)
    return question, notice
