"""Where a response searches, and what it says where nothing is found."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from api.rag import Question, Sources
from api.rag.receipt import AnswerEvent, Unanswered
from api.routes.openai.responses.choices import Plan
from api.routes.openai.responses.events import Files, Named
from api.runtime import Message
from api.services import Services


async def stores_of(plan: Plan, model: str, services: Services) -> Sequence[str]:
    """The vector stores that are meant: those of the tool, else the collection that the model is bound to."""
    if plan.search:
        return plan.search.vector_store_ids
    bound = await services.models.collection_of(model) if plan.may_search else ""
    return [bound] if bound else ()


async def sources_of(
    stores: Sequence[str], plan: Plan, messages: Sequence[Message], services: Services
) -> Sources | None:
    """Where the answer is searched; a turn that hands in a function's result is answered plainly."""
    if not stores or messages[-1].role != "user":
        return None
    search = plan.search
    if search is None:
        return await services.vector_stores.sources(stores)
    ranking = search.ranking_options
    least = (ranking and ranking.score_threshold) or 0.0
    return await services.vector_stores.sources(
        stores, search.filters, most=search.max_num_results, least=least
    )


def files_of(question: Question, plan: Plan, services: Services) -> Named:
    """Tells what files the documents of a question are."""

    async def named(documents: Sequence[str]) -> Files:
        if question.sources is None:
            return {}
        chosen = plan.search.filters if plan.search else None
        return await services.vector_stores.files_of(question.sources, documents, chosen)

    return named


async def answered(question: Question, services: Services) -> AsyncGenerator[AnswerEvent, None]:
    """The answer from what was found; where that holds none and there are functions, the model may still call one."""
    async with aclosing(services.answers.stream(question)) as events:
        async for event in events:
            if isinstance(event, Unanswered) and question.options.tools:
                break
            yield event
        else:
            return
    plain = services.answers.stream(replace(question, sources=None))
    async with aclosing(plain):
        async for event in plain:
            yield event
