"""What a real server answered to requests for text and vectors that it refuses."""

from typing import Any

from tests.ollama_double.rows import HI, JSON, SHORT, TOOL, refused


def _ask(**more: Any) -> JSON:
    return {"model": "demo", "messages": HI, "options": SHORT, "stream": False, **more}


def _say(**more: Any) -> JSON:
    return {"model": "demo", "prompt": "Hi", "options": SHORT, "stream": False, **more}


_FORMAT = 'expected "json" or a valid JSON Schema object'
_LEVELS = '(must be "high", "medium", "low", "max", true, or false)'
_UNIT = 'time: missing unit in duration "{}"'
BEFORE_LOADING = [
    refused(
        "chat with a missing model",
        "/api/chat",
        {"model": "nope", "messages": HI},
        404,
        "model 'nope' not found",
    ),
    refused(
        "generate with a missing model",
        "/api/generate",
        {"model": "nope"},
        404,
        "model 'nope' not found",
    ),
    refused("chat with no model", "/api/chat", {"messages": HI}, 400, "model is required"),
    refused("generate with no model", "/api/generate", {"prompt": "Hi"}, 404, "model '' not found"),
    *(
        refused(
            f"{path} with a bad name", f"/api/{path}", {"model": "a b"}, 400, "invalid model name"
        )
        for path in ("chat", "generate", "embed")
    ),
    refused('keep_alive "1"', "/api/chat", _ask(keep_alive="1"), 400, _UNIT.format("1")),
    refused('keep_alive "-1"', "/api/chat", _ask(keep_alive="-1"), 400, _UNIT.format("-1")),
    refused(
        "keep_alive of a fruit",
        "/api/chat",
        _ask(keep_alive="banana"),
        400,
        'time: invalid duration "banana"',
    ),
    refused(
        "num_ctx as text",
        "/api/chat",
        _ask(options={"num_ctx": "x"}),
        500,
        'option "num_ctx" must be of type integer',
    ),
    refused(
        "stop as text",
        "/api/chat",
        _ask(options={"stop": "x"}),
        500,
        'option "stop" must be of type array',
    ),
    refused(
        *("temperature as text", "/api/generate", _say(options={"temperature": "hot"}), 500),
        'option "temperature" must be of type float32',
    ),
    refused(
        *("raw with a system message", "/api/generate", _say(raw=True, system="x"), 400),
        "raw mode does not support template, system, or context",
    ),
    refused(
        "a suffix",
        "/api/generate",
        _say(suffix="x"),
        400,
        "model-library/library/demo:latest does not support insert",
    ),
    refused("thinking", "/api/chat", _ask(think=True), 400, '"demo" does not support thinking'),
    refused(
        "much thinking", "/api/chat", _ask(think="high"), 400, '"demo" does not support thinking'
    ),
    refused(
        "thinking of a fruit",
        "/api/chat",
        _ask(think="banana"),
        400,
        f'invalid think value: "banana" {_LEVELS}',
    ),
    refused(
        *(
            "tools with a template without them",
            "/api/chat",
            _ask(model="turns", tools=[TOOL]),
            400,
        ),
        "model-library/library/turns:latest does not support tools",
    ),
    refused(
        *("tools as text", "/api/chat", _ask(tools="x"), 400),
        "json: cannot unmarshal string into Go struct field ChatRequest.tools of type api.Tools",
    ),
    refused(
        "a call with arguments as text",
        "/api/chat",
        _ask(
            messages=[
                {
                    "role": "assistant",
                    "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}],
                }
            ]
        ),
        400,
        "Value looks like object, but can't find closing '}' symbol",
    ),
    refused(
        "21 probabilities",
        "/api/chat",
        _ask(top_logprobs=21),
        400,
        "top_logprobs must be between 0 and 20",
    ),
    refused(
        *(
            "an image that is no base64",
            "/api/chat",
            _ask(messages=[{**HI[0], "images": ["!!!"]}]),
            400,
        ),
        "illegal base64 data at input byte 0",
    ),
    refused(
        "chat with an embedding model",
        "/api/chat",
        _ask(model="embedder"),
        400,
        '"embedder" does not support chat',
    ),
    refused(
        "generate with an embedding model",
        "/api/generate",
        _say(model="embedder"),
        400,
        '"embedder" does not support generate',
    ),
    *(
        refused(
            f"vectors of {value}",
            "/api/embed",
            {"model": "embedder", "input": value},
            400,
            "invalid input type",
        )
        for value in (5, [1])
    ),
    refused(
        *("vectors of a missing model", "/api/embed", {"model": "nope", "input": "x"}, 404),
        'model "nope" not found, try pulling it first',
    ),
]

_NO_VECTORS = "This server does not support embeddings. Start it with `--embeddings`"
LOADED = [
    *(
        refused(
            f"the format {value} of {model}",
            "/api/chat",
            _ask(model=model, format=value),
            500,
            f"invalid format: {shown}; {_FORMAT}",
        )
        for model in ("demo", "turns")
        for value, shown in (("xml", r'"\"xml\""'), ([1], '"[1]"'))
    ),
    refused(
        *("a long prompt that may not be shifted", "/api/chat"),
        {
            **_ask(model="turns", shift=False, options={"num_ctx": 128}),
            "messages": [{"role": "user", "content": "word " * 900}],
        },
        400,
        "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust "
        "the context length in settings, or use a model with a longer context length",
    ),
    refused(
        "vectors of a chat model", "/api/embed", {"model": "demo", "input": "x"}, 501, _NO_VECTORS
    ),
    refused(
        "the older vectors of a chat model",
        "/api/embeddings",
        {"model": "demo", "prompt": "x"},
        500,
        _NO_VECTORS,
    ),
    refused(
        *("a text too long for a vector", "/api/embed"),
        {"model": "embedder", "input": "word " * 600, "truncate": False},
        400,
        "the input length exceeds the context length",
    ),
]
