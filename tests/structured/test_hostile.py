"""What callers and models send to do harm: no file is read, nothing connected to, nothing hangs, nothing is a 5xx."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.listening import unreached
from tests.service import Service, open_service

CANARY = "canary-8d1f"
HANGS = 20.0
"""Seconds no request takes on the busiest machine; what hangs takes minutes or for ever."""
OBJECT = {"type": "object"}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose sandbox opens once."""
    with open_service(tmp_path_factory.mktemp("hostile")) as service:
        service.app.state.services.sandbox.seconds = 0.2
        yield service


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that nobody may read."""
    path = tmp_path_factory.mktemp("secret") / "secret.txt"
    path.write_text(CANARY)
    return path


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A listener that nobody may reach."""
    with unreached() as port:
        yield port


def answered(service: Service, path: str, sent: dict[str, Any], said: str) -> Any:
    """The status and the answer, in time and without the canary; a model says always the same."""
    service.runtime._answers.clear()
    service.runtime.will_answer(*[said] * 3)
    began = time.monotonic()
    response = service.client.post(path, json={"modelName": "demo", **sent})
    assert time.monotonic() - began < HANGS
    assert response.status_code < 500, response.text
    assert CANARY not in response.text
    return response.status_code, response.json()


CODE = {
    "a file by open": "return open(path).read()",
    "a file by pathlib": "from pathlib import Path\n    return Path(path).read_text()",
    "a file by os": "import os\n    return os.read(os.open(path, 0), 99)",
    "a file to write": "open(path, 'w').write('x')",
    "a file by io": "import io\n    return io.open(path).read()",
    "a file by a loader": "return __loader__.get_data(path)",
    "a file of the process": "return open('/proc/self/environ').read()",
    "a folder": "import os\n    return os.listdir('/')",
    "a file to delete": "import os\n    os.remove(path)",
    "a folder by glob": "import glob\n    return glob.glob('/*')",
    "the environment": "import os\n    return dict(os.environ)",
    "a variable": "import os\n    return os.getenv('CANARY')",
    "a socket": "import socket\n    socket.create_connection(('127.0.0.1', port))",
    "a request": "import urllib.request\n    urllib.request.urlopen(f'http://127.0.0.1:{port}')",
    "a connection": "import http.client\n    http.client.HTTPConnection('127.0.0.1', port).connect()",
    "a stream": "import asyncio\n    asyncio.run(asyncio.open_connection('127.0.0.1', port))",
    "a command": "import subprocess\n    return subprocess.check_output(['cat', path])",
    "a shell": "import os\n    os.system('cat ' + path)",
    "a fork": "import os\n    os.fork()",
    "native code": "import ctypes\n    ctypes.string_at(0)",
    "the interpreter": "import sys\n    return sys.modules['os'].listdir('/')",
    "an import by name": "import importlib\n    importlib.import_module('socket')",
    "an import by a dunder": "return __import__('os').popen('id').read()",
    "the subclasses": "return ().__class__.__bases__[0].__subclasses__()",
    "the globals": "return (lambda: 0).__globals__['__builtins__']",
    "the code": "f.__code__ = (lambda: 0).__code__",
    "a frame": "import inspect\n    return inspect.currentframe().f_back.f_globals",
    "a format": "return '{0.__class__.__mro__}'.format(path)",
    "an eval": "return eval('__import__(\"os\").getcwd()')",
    "an exec": "exec('import os\\nos.system(\"id\")')",
    "a pickle": "import pickle\n    pickle.loads(b\"cos\\nsystem\\n(S'id'\\ntR.\")",
    "a module of ours": "from api.settings import Settings\n    return Settings()",
    "an exit": "raise SystemExit(3)",
    "an exit at once": "import os\n    os._exit(3)",
    "an endless loop": "while True:\n        pass",
    "a loop that catches all": "\n    ".join(
        [
            "while True:",
            "    try:",
            "        open(path)",
            "    except BaseException:",
            "        pass",
        ]
    ),
    "a loop that prints": "while True:\n        print('x' * 1000)",
    "a regex bomb": "import re\n    return re.match('(a+)+$', 'a' * 40 + 'b') or 1 / 0",
    "a long sleep": "import time\n    time.sleep(60)\n    return 1 / 0",
    "a power": "return 9 ** 9 ** 9",
    "a list": "return [0] * 10 ** 9",
    "a list that grows": "x = [0]\n    while True:\n        x += x",
    "a text": "return 'x' * 10 ** 10",
    "a width": "return f'{1:>9999999999}'",
    "an old width": "return '%9999999999d' % 1",
    "a dictionary": "return {n: str(n) * 100 for n in range(10 ** 8)}",
    "a recursion": "return f(path, port)",
    "a list in itself": "x = []\n    x.append(x)\n    return x",
    "lists that are one": "x = [1]\n    for _ in range(60):\n        x = [x, x]\n    return x",
    "a deep list": "x = 1\n    for _ in range(100):\n        x = [x]\n    return x",
    "a large number": "return 10 ** 5000",
    "no number": "return float('nan')",
    "bytes": "return b'\\xff'",
    "a generator": "return (n for n in range(10 ** 9))",
    "a class that lies": "class A:\n        def __class__(self):\n            return dict\n    return A()",
    "a key": "return {(1, 2): 3}",
}


@pytest.mark.parametrize("body", CODE.values(), ids=CODE)
def test_code_reaches_nothing_and_ends_in_time(
    opened: Service, place: Path, port: int, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    call = {"name": "f", "arguments": {"path": str(place), "port": port}}
    sent = {
        "user_prompt": "Do it.",
        "functions": [f"def f(path: str, port: int):\n    {body}"],
        "execute_functions": True,
    }
    status, answer = answered(opened, "/generate", sent, json.dumps(call))
    assert (status, answer["values"]) == (200, [None])
    assert answer["calls"][0]["reason"]
    assert place.read_text() == CANARY


def nested(depth: int, inner: Any = OBJECT) -> Any:
    """A schema of objects in objects."""
    return nested(depth - 1, {"type": "object", "properties": {"a": inner}}) if depth else inner


def doubled(depth: int) -> dict[str, Any]:
    """A schema whose references double with each level."""
    levels = {
        f"l{n}": {"oneOf": [{"$ref": f"#/$defs/l{n + 1}"}, {"$ref": f"#/$defs/l{n + 1}"}]}
        for n in range(depth)
    }
    return {"$ref": "#/$defs/l0", "$defs": {**levels, f"l{depth}": {"type": "string"}}}


SCHEMAS: dict[str, tuple[Any, int]] = {
    "deeper than a body": (nested(40), 400),
    "deep": (nested(12), 200),
    "a loop": ({"$ref": "#"}, 422),
    "a loop of two": (
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        422,
    ),
    "a loop by anyOf": (
        {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"},
        422,
    ),
    "a list of itself": ({"type": "array", "items": {"$ref": "#"}}, 200),
    "many references": (doubled(30), 422),
    "from afar": ({"$ref": "http://127.0.0.1:9/schema.json"}, 422),
    "from a file": ({"$ref": "file:///etc/passwd"}, 422),
    "to nothing": ({"$ref": "#/$defs/none"}, 422),
    "an id from afar": ({"$id": "http://127.0.0.1:9/", "type": "object"}, 200),
    "another draft": ({"$schema": "http://127.0.0.1:9/draft"}, 422),
    "a huge enum": ({"enum": list(range(20_000))}, 422),
    "a large enum": ({"enum": [" " * 20_000]}, 200),
    "a pattern that hangs": ({"type": "string", "pattern": "^(a+)+$"}, 200),
    "a pattern of names": ({"type": "object", "patternProperties": {"^(a+)+$": {}}}, 200),
    "a pattern that is none": ({"type": "string", "pattern": "("}, 422),
    "a pattern that looks ahead": ({"type": "string", "pattern": "(?=(a+)+)b"}, 422),
    "a type that is none": ({"type": "everything"}, 422),
    "a number for a schema": ({"properties": {"a": 3}}, 422),
    "a list for names": ({"properties": []}, 422),
    "no multiple": ({"type": "number", "multipleOf": 0}, 422),
    "a small multiple": ({"multipleOf": 1e-300}, 200),
    "a long minimum": ({"type": "string", "minLength": 10**15}, 200),
    "many names": ({"properties": {f"n{n}": {} for n in range(5_000)}}, 422),
    "a dynamic loop": ({"$dynamicRef": "#a", "$dynamicAnchor": "a"}, 200),
    "a fork": ({"if": {"$ref": "#"}}, 422),
}
SAID = ['{"a": 1}', '"' + "a" * 60 + '!"', "1e308"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_refused_or_followed_in_time(opened: Service, name: str) -> None:
    schema, expected = SCHEMAS[name]
    for said in SAID:
        sent = {"user_prompt": "Which?", "response_schema": schema}
        status, answer = answered(opened, "/generate", sent, said)
        assert status == expected, answer
        if status == 200:
            assert (answer["value"] is None) == bool(answer["reason"])


TEMPLATES = [
    "{question.__class__}{schema}",
    "{schema[0]}",
    "{question!r}",
    "{question:>9999999999}",
    "{question:{schema}}",
    "{0}",
    "{}",
    "{answer}",
    "{settings}",
    "{question",
    "question}",
    "{question}" * 2000,
    "{{" * 20_000,
    "{question.__init__.__globals__[os]}",
    "{ question }",
]


@pytest.mark.parametrize("template", TEMPLATES, ids=range(len(TEMPLATES)))
def test_templates_reach_nothing_but_their_parts(opened: Service, template: str) -> None:
    sent = {"user_prompt": "Who?", "response_schema": OBJECT, "answer_template": template}
    status, problem = answered(opened, "/generate", sent, "{}")
    assert status == 422
    assert "answer_template" in problem["detail"]


SOURCES = {
    "no type": ("def f(city): ...", "parameter 'city' of f"),
    "a union": ("def f(a: " + "|".join(["int"] * 4000) + "): ...", "too deep"),
    "a smaller union": ("def f(a: " + "|".join(["int"] * 700) + "): ...", "too deep"),
    "signs": ("x = " + "-" * 9000 + "1", "too deep"),
    "brackets": ("x = " + "(" * 9000, "no Python"),
    "lists in lists": ("def f(a: " + "list[" * 190 + "int" + "]" * 190 + "): ...", "too deep"),
    "half a character": ('def f(a: str = "\\ud800"): ...', "half a character"),
    "half a description": ('def f(a: Annotated[str, "\\ud800"]): ...', "half a character"),
    "a null byte": ("def f(): ...\0", "no Python"),
    "a long number": ("x = " + "9" * 9000, "no Python"),
    "a long number for a type": ("def f(a: 0x" + "f" * 9000 + "): ...", "has the type"),
    "a long number in a list": (
        "def f(a: Literal[0x" + "f" * 9000 + ", 2.5]): ...",
        "has the type",
    ),
    "too long": ("#" * 20_000, "16384 are allowed"),
    "no function": ("import os\nos.system('id')", "defines no function"),
    "an unknown type": ("def f(a: __import__('os')): ...", "has the type"),
    "a call for a type": ("def f(a: open('/etc/passwd').read()): ...", "has the type"),
    "a starred one": ("def f(*a: int): ...", "*args"),
    "an odd name": ("def \u00e4(a: int): ...", "letters, digits"),
    "twice": ("def f(): ...\ndef f(): ...", "twice"),
    "a schema that is none": ('{"name": "f", "parameters": {"$ref": "#"}}', "to itself"),
    "JSON that is none": ("{", "no JSON"),
    "a number": ('{"name": 3}', "Python source"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_sources_are_read_and_never_run(opened: Service, name: str) -> None:
    source, why = SOURCES[name]
    status, problem = answered(
        opened, "/generate", {"user_prompt": "Do it.", "functions": [source]}, "{}"
    )
    assert status in (400, 422)
    assert why in problem["detail"]


def test_the_sources_of_a_request_are_bounded_together(opened: Service) -> None:
    sent = {"user_prompt": "Do it.", "functions": ["#" * 15_000] * 5}
    status, problem = answered(opened, "/generate", sent, "{}")
    assert (status, "75000 characters in all; 65536 are allowed" in problem["detail"]) == (
        422,
        True,
    )


@pytest.mark.parametrize("code", ["return open(path).read()", "while True:\n        pass"])
def test_what_a_model_writes_is_held_as_tightly(opened: Service, place: Path, code: str) -> None:
    sent = {"function": "def f(path: str): ...", "parameters": {"path": str(place)}}
    said = f"```python\ndef f(path):\n    {code}\n```"
    status, answer = answered(opened, "/implement", sent, said)
    assert (status, answer["value"], answer["tries"]) == (200, None, 3)
    assert answer["reason"]
