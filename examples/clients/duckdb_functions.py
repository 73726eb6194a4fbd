"""Models of a service as functions of your own DuckDB: `register(connection, "http://127.0.0.1:3000", key)`.

    SELECT llm_chat('demo', review) FROM reviews;
    SELECT llm_json('demo', review, '{"type": "object", ...}')->>'mood' FROM reviews;
    SELECT list_cosine_similarity(llm_embed('minilm', a), llm_embed('minilm', b)) FROM pairs;

Needs duckdb and pyarrow. Eight requests run at once, equal ones are made once a connection, NULL stays NULL. Nothing
bounds how many there are but your SELECT: `/sql` of the service has `max_calls`.
"""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any
from urllib.request import Request, urlopen

import duckdb
import pyarrow

AT_ONCE = 8
SECONDS = 600
MACROS = (
    "llm_chat(model, prompt) AS _llm('chat', model, prompt, '')",
    "llm_json(model, prompt, schema) AS TRY_CAST(_llm('json', model, prompt, schema::VARCHAR) AS JSON)",
    "llm_embed(model, text) AS _llm('embed', model, text, '')::JSON::FLOAT[]",
)


def register(connection: duckdb.DuckDBPyConnection, url: str, key: str = "none") -> None:
    """Give a connection `llm_chat`, `llm_json` and `llm_embed`. A refusal of the service ends the query."""
    pool, known, lock = ThreadPoolExecutor(AT_ONCE), dict[tuple[str, ...], Future[str]](), Lock()

    def answers(kinds: Any, models: Any, prompts: Any, schemas: Any) -> Any:
        columns = (kinds, models, prompts, schemas)
        asks = list(zip(*(one.to_pylist() for one in columns), strict=True))
        with lock:
            for ask in asks:
                if None not in ask and ask not in known:
                    known[ask] = pool.submit(_answer, url.rstrip("/"), key, *ask)
        return pyarrow.array([known[ask].result() if ask in known else None for ask in asks])

    connection.create_function(  # type: ignore[call-overload]  # which knows no vector of Arrow's
        "_llm",
        answers,
        ["VARCHAR"] * 4,
        "VARCHAR",
        type="arrow",
        null_handling="special",
        side_effects=True,
    )
    for macro in MACROS:
        connection.execute(f"CREATE TEMP MACRO {macro}")


def _answer(url: str, key: str, kind: str, model: str, prompt: str, schema: str) -> str:
    body: dict[str, Any] = {"model": model}
    if kind == "embed":
        said = _sent(f"{url}/v1/embeddings", key, {**body, "input": prompt})
        return json.dumps(said["data"][0]["embedding"])
    body["messages"] = [{"role": "user", "content": prompt}]
    if kind == "json":
        form = {"name": "value", "schema": json.loads(schema), "strict": True}
        body |= {"temperature": 0, "response_format": {"type": "json_schema", "json_schema": form}}
    said = _sent(f"{url}/v1/chat/completions", key, body)
    text: str = said["choices"][0]["message"]["content"]
    return text


def _sent(address: str, key: str, body: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = Request(address, json.dumps(body).encode(), headers)  # noqa: S310  it is yours
    with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        return json.load(answer)
