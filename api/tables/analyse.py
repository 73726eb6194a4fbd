"""A question about tables: a model writes a SELECT, it is run, and the model answers from the rows that it gives.

What a table says may mislead the model, and then it writes another SELECT; one that can do more is not run, and none
asks models again.
"""

import json
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
    "their first rows:\n\n{tables}\n\nQuestion: {question}\n\nAnswer with JSON that holds this schema:\n{schema}"
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


async def analysed(
    answers: Answers, queries: Queries, question: Question, scope: Scope, limit: int
) -> Analysed:
    """The answer, after at most `MAX_TRIES`: each time the model is told what was wrong with its last SELECT, as long
    as that fits into its context.
    """
    scope, tables, dialect = await queries.described(scope)
    (asked,) = question.messages
    task = _TASK.format(
        dialect=dialect, tables=tables, question=asked.content, schema=json.dumps(SCHEMA)
    )
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
            told = await _told(answers, question, sql, rows)
            took += [told.done] if told else []
            why = None if told else "The rows do not fit into the model's context."
            said = told.message if told else None
            return Analysed(said, why, sql, rows, len(took) - bool(told), (*took,))
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
        raise NoValue("The query was cut off. Ask for more max_tokens.")
    value = read(answer.message)
    if not isinstance(value, dict) or not isinstance(value.get("sql"), str):
        raise NoValue("There is no member `sql` with a SELECT.")
    sql: str = value["sql"]
    return sql


async def _told(answers: Answers, question: Question, sql: str, rows: Rows) -> Answer | None:
    """The answer in words; None where not even few rows fit."""
    (asked,) = question.messages
    for room in _ROOMS:
        told = await in_thread(_written, rows, room)
        words = _TELL.format(question=asked.content, sql=sql, rows=told)
        try:
            return await answers.whole(replace(question, messages=[replace(asked, content=words)]))
        except PromptTooLong:
            continue
    return None


def _written(rows: Rows, room: int) -> str:
    """Rows as lines of JSON, as many as have so many characters, and how many more there are."""
    lines = [json.dumps(list(rows.columns), ensure_ascii=False)]
    size = 0
    for number, row in enumerate(rows.rows):
        line = json.dumps(row, ensure_ascii=False)
        size += len(line)
        if size > room:
            left = len(rows.rows) - number + (rows.left_out or 0)
            lines.append(f"and {left} rows more" if number else line[:room] + "...")
            break
        lines.append(line)
    return "\n".join(lines if rows.rows else [*lines, "(no rows)"])
