"""sql and analyze: a SELECT over tables, in which models can be asked, or over a database; and questions in words."""

from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from api.http.observe import seen
from api.http.openapi import documented
from api.http.options import GenerationOptions
from api.http.problems import problems
from api.http.request import CallerDep, ServicesDep, asked_model, request_model
from api.http.request_body import invalid
from api.http.sse import while_connected
from api.rag import Question
from api.routes.original.fields import MODEL_NAME, Name, Text
from api.routes.original.predict import PromptsResponse
from api.runtime import Message
from api.tables.analyse import analysed, answered, prompts
from api.tables.model_calls import MAX_CALLS
from api.tables.queries import MAX_TABLES, Scope
from api.tables.sql import Rows

router = APIRouter(tags=["tables"])

MAX_ROWS = 10_000
NO_ROWS = Rows((), (), (), 0)


class ScopeFields(BaseModel):
    """What a query sees."""

    model_config = ConfigDict(extra="forbid")

    tables: tuple[Name, ...] = Field(
        (),
        max_length=MAX_TABLES,
        description="Tables that it sees, by name or id. Left out: a query sees those that it speaks of, a question "
        "the newest twenty.",
        examples=[["reviews"]],
    )
    database: Name = Field(
        "",
        description="A database that the settings name, in place of the tables; it is only read.",
    )
    limit: int = Field(1000, ge=1, le=MAX_ROWS, description="Most rows to return.")

    @property
    def scope(self) -> Scope:
        """The tables, or the database; a 422 for both."""
        if self.database and self.tables:
            raise invalid("database", "Tables or a database: leave one of them out.")
        return Scope(self.database, self.tables)


class SqlRequest(ScopeFields):
    """A query, and what it sees."""

    query: Text = Field(
        description="One SELECT in DuckDB's SQL, or in that of the database. Over tables it may call "
        "`llm_chat(model, prompt[, options])`, `llm_json(model, prompt, schema)`, `llm_embed(model, text)`.",
        examples=["SELECT review, llm_chat('demo', review) AS said FROM reviews LIMIT 3"],
    )
    max_calls: int = Field(
        1000,
        ge=0,
        le=MAX_CALLS,
        description="Most calls of models; equal ones are made once. A query with more is refused.",
    )


class Took(BaseModel):
    """Tokens of all calls."""

    prompt_tokens: int
    completion_tokens: int


class RowsResponse(BaseModel):
    """The rows of a query, each a list of its cells in the order of the columns."""

    columns: list[str]
    types: list[str]
    rows: list[list[Any]]
    rows_left_out: int | None = Field(
        description="How many rows more the query has; null where there may be some and nobody counted them."
    )


class SqlResponse(RowsResponse):
    """The rows, and what was asked of models for them."""

    calls: int
    usage: Took
    notes: list[str] = Field(description="What is to be known of them, as of values without one.")


class AnalyzeRequest(GenerationOptions, ScopeFields):
    """A question, and what it is about."""

    question: Text = Field(
        description="What is to be known.", examples=["Which product has the worst reviews?"]
    )
    model_name: Name = Field(
        "",
        validation_alias=MODEL_NAME,
        description="The model that writes the query and the answer; the default model when left out.",
        examples=["demo"],
    )
    sql: Text = Field(
        "",
        description="A SELECT that is run in the place of one that the model writes.",
        examples=["SELECT product FROM reviews ORDER BY stars LIMIT 1"],
    )
    dry_run: bool = Field(
        False,
        description="Only show what the model would be asked: to write the SELECT, and with `sql` to answer from rows.",
    )


class AnalyzeResponse(RowsResponse):
    """The answer and the query that it is made of; null and the reason where there is none."""

    answer: str | None
    reason: str | None
    sql: str | None = Field(description="The last query that the model wrote.")
    tries: int = Field(description="Queries that it wrote.")
    usage: Took


@router.post(
    "/sql",
    operation_id="sql",
    summary="Query tables, and ask models from SQL",
    response_model=SqlResponse,
    responses=problems(404, 422, 429, 502, 503),
    openapi_extra=documented(SqlRequest),
)
async def sql(
    http: Request,
    request: Annotated[SqlRequest, Depends(request_model(SqlRequest))],
    services: ServicesDep,
    caller: CallerDep,
) -> Response:
    """One SELECT, in a process that can do nothing else: no file, no connection, 30 seconds of its own, 512 MB.

    Calls of models are requests of the same key, behind all that others wait for. The parameters may come as a form or
    as JSON too.
    """
    most = 0 if request.database else request.max_calls
    calls = services.queries.sql.calls(caller.key_id, most)
    work = services.queries.run(request.query, request.scope, request.limit, calls)
    rows = await while_connected(http, work)
    took = {
        "calls": calls.number if calls else 0,
        "usage": {
            "prompt_tokens": calls.prompt_tokens if calls else 0,
            "completion_tokens": calls.completion_tokens if calls else 0,
        },
        "notes": calls.notes if calls else [],
    }
    return await run_sync(lambda: JSONResponse({**told(rows), **took}))


@router.post(
    "/analyze",
    operation_id="analyze",
    summary="Ask about tables in words",
    response_model=AnalyzeResponse | PromptsResponse,
    responses=problems(404, 422, 429, 502, 503),
    openapi_extra=documented(AnalyzeRequest),
)
async def analyze(
    http: Request,
    request: Annotated[AnalyzeRequest, Depends(request_model(AnalyzeRequest, default_model=True))],
    services: ServicesDep,
) -> Response:
    """The model writes a SELECT, which is run as `/sql` runs it, but without functions that ask models. What is wrong
    with it is told to the model, three times at most; then the model answers from the rows. With `sql` it answers from
    the rows of that; `dry_run` shows the prompts and asks nothing.

    The parameters may come as a form or as JSON too.
    """
    scope, limit = request.scope, request.limit
    model = await asked_model(services, request.model_name)
    if request.dry_run:
        shown = prompts(services.queries, request.question, scope, limit, request.sql)
        return JSONResponse({"prompts": await while_connected(http, shown)})
    question = Question(
        model,
        [Message("user", request.question)],
        options=request.options(),
        as_it_stands=True,
    )
    over = (services.answers, services.queries, question, scope, limit)
    work = answered(*over, request.sql) if request.sql else analysed(*over)
    done = await while_connected(http, work)
    took = Took(
        prompt_tokens=sum(one.prompt_tokens for one in done.took),
        completion_tokens=sum(one.completion_tokens for one in done.took),
    )
    seen().add_tokens(took.prompt_tokens, took.completion_tokens)
    of_it = {
        "answer": done.answer,
        "reason": done.reason,
        "sql": done.sql,
        "tries": done.tries,
        "usage": took.model_dump(),
    }
    return await run_sync(lambda: JSONResponse({**of_it, **told(done.rows or NO_ROWS)}))


def told(rows: Rows) -> dict[str, Any]:
    """Rows as they are answered."""
    return {
        "columns": rows.columns,
        "types": rows.types,
        "rows": rows.rows,
        "rows_left_out": rows.left_out,
    }
