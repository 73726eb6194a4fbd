"""Who may import whom (docs/architecture.md), read from the code's own imports."""

import ast
import importlib
import subprocess
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import LONGEST

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "api").rglob("*.py")) + sorted((ROOT / "finetune").rglob("*.py"))

HTTP = ("api/__main__.py", "api/app.py", "api/http/", "api/model_servers/wire.py", "api/routes/")
OWNERS = {
    "fastapi": HTTP,
    "fastapi_offline": ("api/app.py",),
    "starlette": HTTP,
    "h11": ("api/http/protocol.py",),
    "python_multipart": ("api/http/multipart.py",),
    "pydantic_settings": ("api/settings/",),
    "dotenv": ("api/settings/environment.py",),
    "sqlalchemy": ("api/store/", "api/tables/"),
    "alembic": ("api/store/",),
    "chromadb": ("api/index/chroma.py", "api/index/chroma_server.py", "api/index/probe.py"),
    "tantivy": ("api/index/lexical.py", "api/index/asked.py", "api/index/words.py"),
    "pypdf": ("api/documents/reading/pdf.py",),
    "pypdfium2": ("api/documents/reading/",),
    "lxml": ("api/documents/reading/",),
    "openpyxl": ("api/documents/reading/xlsx.py",),
    "duckdb": (
        "api/tables/duck.py",
        "api/tables/reading_child.py",
        "api/tables/rows_child.py",
        "api/tables/sql_child.py",
    ),
    "psycopg": ("api/tables/",),
    "pyarrow": ("api/tables/sql_child.py", "finetune/data/parquet_child.py"),
    "markdown_it": ("api/documents/reading/markdown.py",),
    "charset_normalizer": ("api/documents/reading/decoding.py",),
    "xllamacpp": ("api/runtime/llama_cpp/server.py", "finetune/checks/engine.py"),
    "httpx2": ("api/runtime/", "finetune/bases/hub.py"),
    "httpcore": ("api/runtime/ollama/",),
    "httpx": ("api/runtime/ollama/", "api/index/chroma_server.py"),
    "huggingface_hub": ("finetune/bases/hub.py",),
    "ollama": ("api/runtime/ollama/",),
    "onnx": ("api/runtime/onnx/server.py", "finetune/encoders/"),
    "onnxruntime": ("api/runtime/onnx/server.py",),
    "tokenizers": (
        "api/runtime/ollama/tokens.py",
        "api/runtime/onnx/server.py",
        "finetune/bases/sentencepiece.py",
    ),
    "opentelemetry": ("api/tracing/otlp.py",),
    "prometheus_client": ("api/metrics/",),
    "jinja2": ("api/runtime/template_child.py", "finetune/report/page.py"),
    "jsonschema": ("api/runtime/members.py", "api/runtime/schemas.py"),
    "referencing": ("api/runtime/members.py", "api/runtime/schemas.py"),
    "jsonschema_rs": ("api/runtime/patterns.py",),
    "pydantic_monty": ("api/structured/sandbox.py",),
    "mcp": ("api/routes/mcp/server.py",),
    "mcp_types": ("api/routes/mcp/server.py",),
    "langchain_core": ("api/rag/prompts.py",),
    "optuna": ("api/sweeps/search.py",),
    "torch": ("api/model_servers/causal.py", "finetune/"),
    "transformers": ("api/model_servers/causal.py", "finetune/"),
    "uvicorn": (
        "api/__main__.py",
        "api/http/protocol.py",
        "api/http/forwarded.py",
        "api/model_servers/wire.py",
    ),
    "datasets": ("finetune/training/",),
    "tensorboardX": ("finetune/training/trackers.py",),
    "safetensors": ("finetune/bases/", "finetune/export/", "finetune/training/"),
    "sentencepiece": ("finetune/bases/sentencepiece.py",),
    "gguf": ("finetune/bundled.py", "finetune/gguf_file.py"),
    "conversion": ("finetune/bases/vocabulary.py", "finetune/export/feeding.py"),
    "trl": ("finetune/training/",),
    "peft": (
        "api/model_servers/causal.py",
        "finetune/training/adapter.py",
        "finetune/export/changes.py",
        "finetune/checks/reference.py",
    ),
    "cyllama": ("finetune/stages/quantize.py", "finetune/checks/scoring.py"),
}
"""Each client library and the files that may import it."""

EVERYWHERE = ("annotated_types", "anyio", "numpy", "pydantic", "pydantic_core")
"""Libraries without an owner."""

FLOORS = (
    ("finetune",),
    ("api.errors", "api.faults", "api.settings"),
    ("api.names", "api.child_process", "api.zip_files", "api.model_servers"),
    ("api.data_folder", "api.tracing"),
    ("api.store", "api.runtime", "api.runners"),
    ("api.index", "api.models", "api.metrics", "api.auth", "api.backends"),
    ("api.datasets",),
    ("api.files",),
    ("api.documents", "api.rag", "api.jobs"),
    (
        "api.batches",
        "api.evaluation",
        "api.structured",
        "api.sweeps",
        "api.vector_stores",
    ),
    ("api.tables",),
    ("api.services",),
    ("api.opening", "api.readiness", "api.http"),
    ("api.routes", "api.doctor", "api.cleaning", "api.backup"),
    ("api.app",),
    ("api.__main__",),
)
"""From the ground up: what stands on a floor imports only from floors below, or from its own room."""

MOST_LINES = 350
MOST_FILES_AT_THE_TOP = 14


def imports_of(path: Path) -> Iterator[str]:
    """Every absolute module a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


IMPORTS = {relative(path): set(imports_of(path)) for path in FILES}


def is_import_of(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


@pytest.mark.parametrize("library", OWNERS)
def test_each_client_library_has_its_owner(library: str) -> None:
    users = {
        file for file, names in IMPORTS.items() if any(is_import_of(n, library) for n in names)
    }
    strangers = {file for file in users if not file.startswith(OWNERS[library])}
    assert users, f"{library} is in the table, but nobody imports it"
    assert not strangers


def test_no_library_comes_in_without_an_owner() -> None:
    known = {*sys.stdlib_module_names, *OWNERS, *EVERYWHERE, "api", "finetune"}
    assert not {
        (file, name)
        for file, names in IMPORTS.items()
        for name in names
        if name.partition(".")[0] not in known
    }


def test_finetune_never_imports_api() -> None:
    guilty = [
        f
        for f, names in IMPORTS.items()
        if f.startswith("finetune/")
        for n in names
        if is_import_of(n, "api")
    ]
    assert not guilty


def test_api_imports_only_the_light_part_of_finetune() -> None:
    light = (
        "finetune.job.",
        "finetune.data.",
        "finetune.bases.refusals",
        "finetune.judging.intervals",
        "finetune.judging.metrics",
        "finetune.judging.scoring",
        "finetune.lint.codes",
        "finetune.lint.linter",
        "finetune.lint.reading",
        "finetune.lint.report",
        "finetune.report.",
        "finetune.preflight.",
    )
    guilty = [
        (file, name)
        for file, names in IMPORTS.items()
        if file.startswith("api/")
        for name in names
        if is_import_of(name, "finetune") and not name.startswith(light)
    ]
    assert not guilty


def test_documents_and_rag_reach_vectors_and_words_through_the_index_alone() -> None:
    guilty = [
        (file, name)
        for file, names in IMPORTS.items()
        if file.startswith(("api/documents/", "api/rag/"))
        for name in names
        if name.startswith(("api.index.chroma", "api.index.lexical"))
    ]
    assert not guilty


def test_only_the_app_opens_things() -> None:
    openers = ("open_runtime", "open_index", "open_importer", "open_runner", "open_bundled")
    guilty = [
        (file, name)
        for file, names in IMPORTS.items()
        if file not in {"api/opening.py", "api/app.py"} and not file.endswith("opening.py")
        for name in names
        if name.rpartition(".")[2] in openers
    ]
    assert not guilty


def test_only_settings_reads_the_environment() -> None:
    readers = {
        relative(path)
        for path in FILES
        if relative(path).startswith("api/") and "os.environ" in path.read_text(encoding="utf-8")
    }
    assert readers == {
        "api/settings/environment.py",
        "api/faults.py",  # the fault points of the tests are no settings
        "api/model_servers/wire.py",  # a program of its own, which reads its key there
    }


def test_there_is_no_import_circle() -> None:
    modules = {
        file.removesuffix(".py").removesuffix("/__init__").replace("/", "."): file
        for file in IMPORTS
    }
    edges = {
        module: {
            known
            for name in IMPORTS[file]
            if (known := owner_of(name, modules)) and known != module
        }
        for module, file in modules.items()
    }
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, (
            f"circle: {' -> '.join((*trail[trail.index(module) :], module))}"
        )
        if module in done:
            return
        for target in edges[module]:
            visit(target, (*trail, module))
        done.add(module)

    for module in edges:
        visit(module, ())


def owner_of(name: str, modules: dict[str, str]) -> str | None:
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def test_an_import_never_runs_back_up() -> None:
    floors = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    guilty = []
    for file, names in IMPORTS.items():
        here = room_of(file.removesuffix(".py").removesuffix("/__init__").replace("/", "."), floors)
        for name in names:
            there = room_of(name, floors)
            if there and there != here and (not here or floors[there] >= floors[here]):
                guilty.append((file, name))
    assert not guilty


def room_of(module: str, floors: Mapping[str, int]) -> str | None:
    """The room a module lies in; None for other libraries and for the packages themselves."""
    return next((room for room in floors if is_import_of(module, room)), None)


def test_every_file_stands_on_a_floor() -> None:
    floors = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    homeless = {
        file
        for file in IMPORTS
        if not room_of(file.removesuffix(".py").removesuffix("/__init__").replace("/", "."), floors)
    }
    assert homeless == {"api/__init__.py"}


def test_the_top_of_the_api_is_no_hall() -> None:
    assert len(list((ROOT / "api").glob("*.py"))) <= MOST_FILES_AT_THE_TOP


def test_routes_take_nothing_but_values_from_below_the_use_cases() -> None:
    """A row or a message may be written on the wire; a store, an index or a runtime is not asked there."""
    rooms = ("api.store", "api.index", "api.runtime", "api.runners")
    guilty = [
        (file, name)
        for file, names in IMPORTS.items()
        if file.startswith("api/routes/")
        for name in names
        if any(is_import_of(name, room) for room in rooms) and not is_value(name)
    ]
    assert not guilty


def is_value(name: str) -> bool:
    """A frozen dataclass, or a type that is spelled out."""
    module, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(module), attribute, None)
    frozen = getattr(getattr(found, "__dataclass_params__", None), "frozen", False)
    return frozen or typing.get_origin(found) in (typing.Literal, types.UnionType, typing.Union)


def test_http_knows_no_domain_but_the_services_and_values() -> None:
    known = ["api.http", "api.errors", "api.names", "api.settings", "api.services", "api.auth"]
    known += ["api.tracing"]
    guilty = [
        (file, name)
        for file, names in IMPORTS.items()
        if file.startswith("api/http/")
        for name in names
        if is_import_of(name, "api")
        and not any(is_import_of(name, room) for room in known)
        and not is_value(name)
    ]
    assert not guilty


def test_the_tree_in_the_documentation_is_the_tree() -> None:
    """`python scripts/draw_tree.py --write` draws it from the first line of each file."""
    drawn = subprocess.run(
        [sys.executable, "scripts/draw_tree.py"], cwd=ROOT, capture_output=True, text=True
    )
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    files = [line for line in drawn.stdout.splitlines() if not line.endswith("/")]
    assert len(files) > len(FILES)
    assert drawn.stdout in page
    assert not [line for line in files if not line.endswith(".")], "a job is one whole sentence"


def test_the_api_loads_no_heavy_library() -> None:
    program = (
        "import sys, api.app;"
        "heavy = {'torch', 'transformers', 'ray', 'xllamacpp', 'llama_cpp', 'chromadb', 'ollama',"
        "'tokenizers', 'trl', 'peft', 'lxml', 'openpyxl', 'markdown_it', 'mcp', 'grpc'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_service_listens_before_it_loads_what_answers() -> None:
    program = (
        "import sys, api.__main__;"
        "later = {'api.app', 'sqlalchemy', 'alembic', 'langchain_core', 'langsmith', 'numpy',"
        "'pygments', 'jinja2', 'httpx', 'httpx2', 'tantivy', 'pypdf'};"
        "print(sorted(later & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_no_file_outgrows_its_job() -> None:
    long = {
        relative(path): lines
        for path in FILES
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert not long


def test_the_files_of_tests_that_begin_first_are_there() -> None:
    assert [name for name in LONGEST if not (ROOT / "tests" / name).is_file()] == []


def test_schemas_follow_one_another_in_one_line() -> None:
    files = sorted((ROOT / "api/store/migrations/versions").glob("*.py"))
    schemas = [
        importlib.import_module(f"api.store.migrations.versions.{one.stem}") for one in files
    ]
    revisions = [one.revision for one in schemas]
    assert [path.name.partition("_")[0] for path in files] == revisions
    assert [one.down_revision for one in schemas] == [None, *revisions[:-1]]
