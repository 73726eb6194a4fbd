"""Private names of other libraries that we lean on, each with the condition of its removal.

An upgrade that takes one away fails here, and so does one more such name that is not in the list.
"""

import ast
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from finetune import gguf_file

ROOT = Path(__file__).parent.parent
OURS = ("api", "finetune")
PUBLIC = {"_exit", "_asdict", "_replace"}
"""Of the standard library: `os._exit`, and the methods of named tuples."""


@dataclass(frozen=True)
class ForeignName:
    """`owner` is `module:Class` (or `module`), in whose source `name` must stand."""

    file: str
    name: str
    owner: str
    goes_when: str


FOREIGN = [
    ForeignName(
        "api/http/multipart.py",
        "_current_part",
        "starlette.formparsers:MultiPartParser",
        "Starlette's parser refuses names, file names and texts that are not UTF-8",
    ),
    ForeignName(
        "api/http/multipart.py",
        "_charset",
        "starlette.formparsers:MultiPartParser",
        "Starlette's parser reads multipart texts as UTF-8 whatever the Content-Type says",
    ),
    ForeignName(
        "api/index/chroma_server.py",
        "_server",
        "chromadb.api.client:Client",
        "Chroma's HTTP client takes a session, or time limits and a certificate, as arguments",
    ),
    ForeignName(
        "api/index/chroma_server.py",
        "_session",
        "chromadb.api.fastapi:FastAPI",
        "Chroma's HTTP client takes a session, or time limits and a certificate, as arguments",
    ),
    ForeignName(
        "api/index/chroma_server.py",
        "_validate_tenant_database",
        "chromadb.api.client:Client",
        "Chroma's HTTP client can be made while its server is away",
    ),
    ForeignName(
        "api/runtime/members.py",
        "_resolver",
        "jsonschema.validators:create",
        "jsonschema's unevaluatedProperties can be told who looks for patterns",
    ),
    ForeignName(
        "api/runtime/ollama/transport.py",
        "_client",
        "ollama._client:BaseClient",
        "Ollama's client can be told to send no key from the environment",
    ),
    ForeignName(
        "api/runtime/ollama/transport.py",
        "_request_raw",
        "ollama._client:AsyncClient",
        "Ollama's client has methods for blobs that do not read the whole file first",
    ),
]


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda one: f"{one.file}-{one.name}")
def test_a_foreign_private_name_is_still_there(foreign: ForeignName) -> None:
    module, _, owner = foreign.owner.partition(":")
    found = importlib.import_module(module)
    source = inspect.getsource(getattr(found, owner) if owner else found)
    assert foreign.name in source


def test_the_converter_still_has_the_methods_that_are_replaced() -> None:
    """`finetune.bases.vocabulary` does, until the converter tells an own vocabulary by its form, takes a tokenizer as
    it is given and reads the settings that transformers 5 writes.
    """
    source = (gguf_file.llama_cpp_folder() / "conversion" / "base.py").read_text("utf-8")
    assert "class TextModel(" in source
    assert "def get_vocab_base_pre(self, tokenizer) -> str:" in source
    assert "def load_hparams(dir_model: Path, is_mistral_format: bool):" in source
    assert source.count("    def prepare_metadata(self, vocab_only: bool):") == 3


def test_the_list_of_foreign_private_names_is_whole() -> None:
    listed = {(one.file, one.name) for one in FOREIGN}
    assert set(_foreign_private_names()) == listed


def _foreign_private_names() -> Iterator[tuple[str, str]]:
    trees = {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for folder in OURS
        for path in sorted((ROOT / folder).rglob("*.py"))
    }
    own = {name for tree in trees.values() for name in _defined(tree)}
    for file, tree in trees.items():
        for name in _used(tree) - own - PUBLIC:
            yield file, name
        foreign = _foreign_imports(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and foreign & _names(node.bases):
                yield from ((file, name) for name in _of_the_base(node))
            if isinstance(node, ast.Attribute) and _is_stored(node) and not _is_self(node):
                yield from [(file, node.attr)] if _is_private(node.attr) else []


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _used(tree: ast.AST) -> set[str]:
    """Private names that are read from some object, or imported."""
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.name for alias in node.names}
    return {name for name in names if _is_private(name)}


def _defined(tree: ast.AST) -> Iterator[str]:
    """Names that our code gives something: functions, classes, variables, attributes of self."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and _is_stored(node) and _is_self(node):
            yield node.attr


def _is_stored(node: ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Store)


def _is_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def _foreign_imports(tree: ast.AST) -> set[str]:
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] not in OURS
        for alias in node.names
    }


def _names(bases: list[ast.expr]) -> set[str]:
    return {base.id for base in bases if isinstance(base, ast.Name)}


def _of_the_base(node: ast.ClassDef) -> set[str]:
    """Private members of a foreign base class: used or overridden here and not made in `__init__`."""
    made, used, methods = set[str](), set[str](), set[str]()
    for member in node.body:
        if isinstance(member, ast.AnnAssign | ast.Assign):
            made |= {one.id for one in ast.walk(member) if isinstance(one, ast.Name)}
        if not isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        methods.add(member.name)
        for one in ast.walk(member):
            if isinstance(one, ast.Attribute) and _is_self(one):
                is_made = member.name == "__init__" and isinstance(one.ctx, ast.Store)
                (made if is_made else used).add(one.attr)
    calls_of_ours = methods & used
    return {name for name in used - made - calls_of_ours if _is_private(name)} | {
        name for name in methods - used if _is_private(name)
    }
