"""What a real server answered to requests that make, show, copy, delete and pull models."""

from typing import Any

from tests.ollama_double.rows import ABSENT, JSON, broken, refused

_PARSING = {"status": "parsing GGUF"}
_NOTHING = "neither 'from' or 'files' was specified"
_NO_MODEL = "pull model manifest: file does not exist"
_BAD_NAMES = ("", " ", ":", "a:", "@", "umlaut\u00e4", "-a", "a/b/c/d/e", "a" * 81, "a b")


def _file(digest: str, **more: Any) -> JSON:
    return {"model": "new", "files": {"m.gguf": digest}, **more}


CREATE = [
    refused("no source", "/api/create", {"model": "new"}, 400, _NOTHING),
    refused(
        "adapters alone", "/api/create", {"model": "new", "adapters": {"a": "@good"}}, 400, _NOTHING
    ),
    refused(
        "a modelfile", "/api/create", {"model": "new", "modelfile": "FROM demo"}, 400, _NOTHING
    ),
    refused("no files", "/api/create", {"model": "new", "files": {}}, 400, "unknown type"),
    refused(
        "a missing file without ending",
        "/api/create",
        {"model": "new", "files": {"m": ABSENT}},
        400,
        "unknown type",
    ),
    refused(
        "a text without ending",
        "/api/create",
        {"model": "new", "files": {"m": "@text"}},
        400,
        "unknown type",
    ),
    *(
        refused(
            f"the name {name!r}",
            "/api/create",
            {"model": name, "from": "demo"},
            400,
            "invalid model name",
        )
        for name in _BAD_NAMES
    ),
    *(
        refused(
            f"the path {path}",
            "/api/create",
            {"model": "new", "files": {path: "@good"}},
            400,
            "file path must be relative",
        )
        for path in ("../x.gguf", "/x.gguf")
    ),
    refused("an empty digest", "/api/create", _file(""), 400, "invalid digest format"),
    *broken(
        *("a file that was not uploaded", "/api/create", _file(ABSENT), 500),
        f"open BLOBS/{ABSENT.replace(':', '-')}: no such file or directory",
        _PARSING,
    ),
    *broken(
        *("no GGUF", "/api/create", _file("@text"), 400),
        "supplied file was not in GGUF format",
        _PARSING,
    ),
    *broken("a cut header", "/api/create", _file("@header"), 500, "unexpected EOF", _PARSING),
    *broken("a cut GGUF", "/api/create", _file("@cut"), 500, "CUT", _PARSING),
    *broken(
        *("an unknown architecture", "/api/create", _file("@odd"), 500),
        "failed to validate GGUF with llama-quantize without compatibility patches: "
        "llama-quantize failed: exit status 1",
        _PARSING,
    ),
    *broken(
        *("a missing base", "/api/create", {"model": "new", "from": "nobody"}, 500, _NO_MODEL),
        {"status": "pulling manifest"},
    ),
    refused(
        "a base with a bad name",
        "/api/create",
        {"model": "new", "from": "a b"},
        400,
        "invalid model name",
    ),
    refused(
        *(
            "a bad template",
            "/api/create",
            {"model": "new", "from": "demo", "template": "{{ .X"},
            400,
        ),
        "template error: template: :1: unclosed action",
    ),
    refused(
        *(
            "a number as license",
            "/api/create",
            {"model": "new", "from": "demo", "license": 5},
            500,
        ),
        "json: cannot unmarshal number into Go value of type []string",
    ),
    refused(
        *(
            "adapters",
            "/api/create",
            {"model": "new", "from": "demo", "adapters": {"a": "@good"}},
            501,
        ),
        "the double neither applies adapters nor quantizes",
    ),
    refused(
        *("safetensors", "/api/create", {"model": "new", "files": {"m.safetensors": "@text"}}, 501),
        "the double converts no safetensors",
    ),
]

MODELS = [
    refused("show of nothing", "/api/show", {}, 400, "model is required"),
    refused(
        "show of a missing model",
        "/api/show",
        {"model": "nope"},
        404,
        "model 'nope:latest' not found",
    ),
    refused("deleting nothing", "/api/delete", {}, 400, "model is required", method="DELETE"),
    refused(
        "deleting a missing model",
        "/api/delete",
        {"model": "nope"},
        404,
        "model 'nope' not found",
        method="DELETE",
    ),
    refused(
        "deleting a bad name",
        "/api/delete",
        {"model": "bad name"},
        400,
        'name "bad name" is invalid',
        method="DELETE",
    ),
    refused(
        "copying a missing model",
        "/api/copy",
        {"source": "nope", "destination": "x"},
        404,
        'model "nope" not found',
    ),
    *broken(
        *("pulling what is not in the library", "/api/pull", {"model": "nobody"}, 500, _NO_MODEL),
        {"status": "pulling manifest"},
    ),
    refused("pulling a bad name", "/api/pull", {"model": "a b"}, 400, "invalid model name"),
]
