"""What a query asks of models: as requests of the key that sent it, behind all that others wait for, a few at a time.

Each takes the way of every request: the key's models and limits, the queue, usage and the log.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import anyio

from api.batches.values import Answer, Ask
from api.errors import (
    ApiError,
    BackEndFailed,
    Conflict,
    InvalidOption,
    NotFound,
    OutOfSpace,
    TooManyRequests,
    Unavailable,
    Unusable,
)
from api.runtime.schemas import INVALID_ANSWER, check_schema, violation
from api.runtime.threads import in_thread
from api.structured.closed import closed
from api.structured.extracting import ASKED_AT_ONCE
from api.structured.values import NoValue, read
from api.tables.refusals import QueryUnusable

AT_ONCE = 8
MAX_CALLS = 100_000
TEXTS_AT_ONCE = 64
"""Of one request for vectors."""
WAITS: Mapping[int, float] = {429: 600.0, 503: 60.0}
"""How many seconds a call waits in all for an answer that is another one later: at a limit, or for a back end."""
OPTIONS = (
    *("temperature", "top_p", "top_k", "min_p", "max_tokens", "max_completion_tokens", "seed"),
    *("stop", "frequency_penalty", "presence_penalty", "repeat_penalty", "reasoning_effort"),
    *("documents", "collection"),
)
"""What `llm_chat` takes as options: members of a request for a chat, as OpenAI's clients name them."""
FACTS: Mapping[int, type[ApiError]] = {
    one.status: one
    for one in (NotFound, Conflict, TooManyRequests, BackEndFailed, Unavailable, OutOfSpace)
}
CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"


class Asked(NamedTuple):
    """One call as the child sends it: of which function, and its arguments as JSON; `more` are options or a schema."""

    kind: str
    model: str
    prompt: str
    more: str


class ModelCalls:
    """The calls of one query, and what they took."""

    def __init__(self, ask: Ask, key: str, most: int) -> None:
        """`key` is the id of the key in whose name they are made, of which there may be `most`."""
        self._ask = ask
        self._key = key
        self._most = most
        self.number = 0
        self._is_over = False
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self._reasons: list[str] = []

    @property
    def notes(self) -> list[str]:
        """What is to be told of the answers beside them."""
        number = len(self._reasons)
        return [f"llm_json: {number} without a value (NULL). {self._reasons[0]}"] if number else []

    @property
    def too_many(self) -> QueryUnusable | None:
        """Why the query is refused, once it has asked for more than it may."""
        if not self._is_over:
            return None
        return QueryUnusable(
            f"The query asks models {self.number} times, and max_calls allows {self._most}. Choose rows before they "
            "are asked about, FROM (SELECT ... LIMIT ...), or raise max_calls.",
            where="max_calls",
            calls=self.number,
        )

    async def answers(self, asks: Sequence[Sequence[str]], left: int = 0) -> list[str | None]:
        """An answer each; `left` are those that come with these and after them. Once there are too many, nobody is
        asked, and they are only counted. The first refusal ends all of them, as the `ApiError` that it would be of a
        single request.
        """
        wanted = [Asked(*one) for one in asks]
        self.number += len(wanted)
        answers: list[str | None] = [None] * len(wanted)
        self._is_over |= self.number + max(0, left - len(wanted)) > self._most
        if self._is_over:
            return answers
        parts, failed = iter(_together(wanted)), list[ApiError]()

        async def work() -> None:
            for places in parts:
                try:
                    found = await self._answered([wanted[place] for place in places])
                except ApiError as error:
                    failed.append(error)
                    group.cancel_scope.cancel()
                    return
                for place, answer in zip(places, found, strict=True):
                    answers[place] = answer

        async with anyio.create_task_group() as group:
            for _ in range(AT_ONCE):
                group.start_soon(work)
        if failed:
            raise failed[0]
        return answers

    async def _answered(self, asked: Sequence[Asked]) -> Sequence[str | None]:
        match asked[0].kind:
            case "embed":
                return await self._vectors(asked)
            case "json":
                return [await self._value(asked[0])]
        return [await self._chat(asked[0])]

    async def _chat(self, one: Asked) -> str | None:
        body = {"model": one.model, "messages": _messages(one.prompt), **_options(one.more)}
        (choice,) = (await self._asked("llm_chat", CHAT, body))["choices"]
        text: str | None = choice["message"]["content"]
        return text

    async def _value(self, one: Asked) -> str | None:
        """A value that holds the schema, as JSON, or None, and why is noted."""
        schema = _json(one.more)
        await in_thread(check_schema, schema, "llm_json: schema", "query")
        *before, last = _messages(one.prompt)
        told = ASKED_AT_ONCE.format(
            question=last.get("content"), schema=json.dumps(schema, ensure_ascii=False)
        )
        form = {"name": "value", "schema": closed(schema), "strict": True}
        body = {
            "model": one.model,
            "messages": [*before, {**last, "content": told}],
            "response_format": {"type": "json_schema", "json_schema": form},
            "temperature": 0,
            "reasoning_effort": "none",
        }
        try:
            (choice,) = (await self._asked("llm_json", CHAT, body))["choices"]
            value = await in_thread(read, choice["message"]["content"] or "")
        except NoValue as error:
            self._reasons.append(f"The first: {error}")
            return None
        if fault := await in_thread(violation, schema, value):
            self._reasons.append(f"The first does not hold the schema: {fault}.")
            return None
        return json.dumps(value, ensure_ascii=False)

    async def _vectors(self, asked: Sequence[Asked]) -> list[str | None]:
        texts = [_text(one.prompt) for one in asked]
        body = {"model": asked[0].model, "input": texts}
        answer = await self._asked("llm_embed", EMBEDDINGS, body)
        return [json.dumps(one["embedding"]) for one in answer["data"]]

    async def _asked(self, function: str, path: str, body: Mapping[str, Any]) -> Any:
        """The answer of one request, which is sent again as long as it is refused for now."""
        try:
            text = json.dumps(body).encode()
        except RecursionError:
            raise _unfit(f"{function}: an argument is nested too deeply.") from None
        waited = 0.0
        while True:
            answer = await self._ask(self._key, path, text)
            later = answer.retry_after_seconds
            if later is None or waited + later > WAITS.get(answer.status, 0):
                break
            waited += later
            await anyio.sleep(later)
        if answer.is_refused:
            raise _fact(function, answer)
        said = json.loads(answer.body)
        self.prompt_tokens += said["usage"]["prompt_tokens"]
        self.completion_tokens += said["usage"].get("completion_tokens", 0)
        return said


def _together(wanted: Sequence[Asked]) -> Iterator[list[int]]:
    """The places of those that one request asks for: texts for vectors of one model, else one each."""
    texts: dict[str, list[int]] = {}
    for place, one in enumerate(wanted):
        if one.kind == "embed":
            texts.setdefault(one.model, []).append(place)
        else:
            yield [place]
    for places in texts.values():
        for begin in range(0, len(places), TEXTS_AT_ONCE):
            yield places[begin : begin + TEXTS_AT_ONCE]


def _said(text: str) -> Any:
    """An argument; `errors.InvalidOption` for one that nobody else could read, as of thousands of digits."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _unfit(
            "An argument of a model's function is no JSON, or too deep or long a value."
        ) from None


def _json(text: str) -> Any:
    """A value of SQL that says JSON: a struct, or a text in which it is written."""
    value = _said(text)
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _text(prompt: str) -> str:
    value = _said(prompt)
    return value if isinstance(value, str) else prompt


def _messages(prompt: str) -> list[dict[str, Any]]:
    """A conversation: one question, or a list of turns, each with `role` and `content`."""
    value = _said(prompt)
    if not isinstance(value, list):
        return [{"role": "user", "content": _text(prompt)}]
    if not value or not all(isinstance(turn, dict) for turn in value):
        raise _unfit("A list of messages has turns {'role': ..., 'content': ...}.")
    return value


def _options(text: str) -> dict[str, Any]:
    options = _json(text) if text else {}
    if not isinstance(options, dict):
        raise _unfit("llm_chat: options are a struct, {'temperature': 0}.")
    if unknown := [name for name in options if name not in OPTIONS]:
        raise _unfit(f"llm_chat: no option {unknown[0]!r}. Options: {', '.join(OPTIONS)}.")
    return options


def _unfit(why: str) -> InvalidOption:
    return InvalidOption(why, where="query")


def _fact(function: str, answer: Answer) -> ApiError | NoValue:
    """A refusal, as it would stand before a single request; an answer that does not hold its schema is no value."""
    error = json.loads(answer.body)["error"]
    detail = f"{function}: {error['message']}"
    if error["code"] == INVALID_ANSWER:
        return NoValue(error["message"])
    kind = FACTS.get(answer.status)
    if kind:
        return kind(detail)
    return Unusable(detail, where="query") if answer.status < 500 else BackEndFailed(detail)
