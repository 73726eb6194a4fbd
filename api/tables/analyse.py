"""A question about tables: a model writes a SELECT, it is run, and the model answers from the rows that it gives.

What a table says may mislead the model, and then it writes another SELECT; one that can do more is not run, and none
asks models again.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from api.errors import PromptTooLong
from api.rag import Answers, Question
from api.rag.receipt import Answer, Done
from api.runtime import Message
from api.runtime.threads import in_thread
from api.structured.extracting import about, exact
from api.structured.values import NoValue, read
from api.tables.queries import Queries, Scope
from api.tables.refusals import QueryUnusable
from api.tables.sql import Rows

MAX_TRIES = 4
"""The first SELECT and three that repair it."""
MAX_SQL_TOKENS = 1000
"""Of one SELECT, unless the request says otherwise: a small model may find no end of it."""
SCHEMA = {
    "type": "object",
    "properties": {"sql": {"type": "string"}},
    "required": ["sql"],
    "additionalProperties": False,
}
_TASK = (
    "Answer a question with SQL: write one SELECT in {dialect}'s SQL whose rows answer it. These are the tables, with "
    'their first rows:\n\n{tables}\n\nQuestion: {question}\n\nAnswer with JSON: {{"sql":"SELECT ..."}}'
)
_AGAIN = "That does not do: {reason} Write the whole SELECT once more, as JSON."
_TELL = (
    "Question: {question}\n\nThis query was run for it:\n{sql}\n\nIt gave these rows, below the names of their "
    "columns:\n{rows}\n\nAnswer the question in a sentence or two, from these rows alone."
)
_ROOMS = (8000, 2000, 500)
"""Characters that the rows may have when they are told; less where that does not fit."""


@dataclass(frozen=True, slots=True)
class Analysed:
    """The answer, or why there is none; the last SELECT, what it gave, and what each call of the model took."""

    answer: str | None
    reason: str | None
    sql: str | None
    rows: Rows | None
    tries: int
    took: tuple[Done, ...]


async def prompts(
    queries: Queries, question: str, scope: Scope, limit: int, sql: str = ""
) -> list[str]:
    """What a model is asked: to write the SELECT, and where one is given, to answer from the rows that it gives.
    `QueryUnusable` for one that cannot be run.
    """
    scope, task = await _task(queries, question, scope)
    if not sql:
        return [task]
    rows = await _run(queries, sql, scope, limit)
    return [task, await in_thread(_telling, question, sql, rows, _ROOMS[0])]


async def answered(
    answers: Answers, queries: Queries, question: Question, scope: Scope, limit: int, sql: str
) -> Analysed:
    """The answer from the rows of a SELECT that is given. `QueryUnusable` for one that cannot be run."""
    rows = await _run(queries, sql, scope, limit)
    return await _told(answers, _steady(question), sql, rows, [])


async def analysed(
    answers: Answers, queries: Queries, question: Question, scope: Scope, limit: int
) -> Analysed:
    """The answer, after at most `MAX_TRIES`: each time the model is told what was wrong with its last SELECT, as long
    as that fits into its context.
    """
    question = _steady(question)
    (asked,) = question.messages
    scope, task = await _task(queries, asked.content, scope)
    messages = [replace(asked, content=task)]
    options = exact(question.options, SCHEMA)
    most = MAX_SQL_TOKENS if options.max_tokens is None else options.max_tokens
    held = replace(question, options=replace(options, max_tokens=most), may_end_early=True)
    took: list[Done] = []
    sql: str | None = None
    reason = ""
    while len(took) < MAX_TRIES:
        try:
            with about("modelName"):
                answer = await answers.whole(replace(held, messages=messages))
        except PromptTooLong as error:
            if not took:
                raise
            reason += f" {error.detail}"
            break
        took.append(answer.done)
        try:
            sql = _sql_in(answer)
            rows = await queries.run(sql, scope, limit)
        except (NoValue, QueryUnusable) as error:
            reason = error.detail if isinstance(error, QueryUnusable) else str(error)
        else:
            return await _told(answers, question, sql, rows, took)
        messages += [
            Message("assistant", answer.message),
            Message("user", _AGAIN.format(reason=reason)),
        ]
    return Analysed(
        None, f"No query of the model could be run. {reason}", sql, None, len(took), (*took,)
    )


def _sql_in(answer: Answer) -> str:
    """`NoValue` where there is none."""
    if answer.done.finish_reason == "length":
        raise NoValue("The query was cut off: it is too long, or `max_tokens` too few.")
    value = read(answer.message)
    if not isinstance(value, dict) or not isinstance(value.get("sql"), str):
        raise NoValue("There is no member `sql` with a SELECT.")
    sql: str = value["sql"]
    return sql


def _steady(question: Question) -> Question:
    """Asked for the likeliest tokens unless the request wants others: no number of an answer is a matter of chance."""
    if question.options.temperature is not None:
        return question
    return replace(question, options=replace(question.options, temperature=0.0))


async def _task(queries: Queries, question: str, scope: Scope) -> tuple[Scope, str]:
    """The tables that a query may speak of, and the words that ask for one."""
    scope, tables, dialect = await queries.described(scope)
    return scope, _TASK.format(dialect=dialect, tables=tables, question=question)


async def _run(queries: Queries, sql: str, scope: Scope, limit: int) -> Rows:
    """What a SELECT of the request gives."""
    try:
        return await queries.run(sql, scope, limit)
    except QueryUnusable as error:
        raise QueryUnusable(error.detail, where="sql") from None


async def _told(
    answers: Answers, question: Question, sql: str, rows: Rows, took: Sequence[Done]
) -> Analysed:
    """The answer in words, after so many calls that wrote queries; none where not even few rows fit."""
    (asked,) = question.messages
    for room in _ROOMS:
        words = await in_thread(_telling, asked.content, sql, rows, room)
        try:
            told = await answers.whole(replace(question, messages=[replace(asked, content=words)]))
        except PromptTooLong:
            continue
        return Analysed(told.message, None, sql, rows, len(took), (*took, told.done))
    why = "The rows do not fit into the model's context."
    return Analysed(None, why, sql, rows, len(took), (*took,))


def _telling(question: str, sql: str, rows: Rows, room: int) -> str:
    return _TELL.format(question=question, sql=sql, rows=written(rows, room))


def written(rows: Rows, room: int) -> str:
    """Rows as lines of JSON, as many as have so many characters, and how many more there are."""
    lines: list[str] = []
    size = 0
    for row in rows.rows:
        line = json.dumps(row, ensure_ascii=False)
        size += len(line)
        if lines and size > room:
            break
        lines.append(line if len(line) <= room else line[:room] + "...")
    if rows.left_out is None:
        more = ["and perhaps more rows"]
    else:
        left = len(rows.rows) - len(lines) + rows.left_out
        more = [f"and {left} rows more"] if left else []
    columns = json.dumps(list(rows.columns), ensure_ascii=False)
    return "\n".join([columns, *(lines or ["(no rows)"]), *more])
