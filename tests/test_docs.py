"""What the documentation says is what there is."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qsl

from api.settings import Settings
from api.settings.page import settings_table

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_table_of_settings_is_current() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_table()


def test_every_setting_that_a_page_names_exists() -> None:
    known = {f"LLM_FASTAPI_{name.upper()}" for name in Settings.model_fields} | {
        "LLM_FASTAPI_FAULT"
    }
    named = {
        name
        for page in [*PAGES, ROOT / ".env.example"]
        for name in re.findall(r"LLM_FASTAPI_[A-Z_]*[A-Z]", page.read_text(encoding="utf-8"))
    }
    assert named <= known


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = [
        (page.name, target)
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_every_command_of_the_readme_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    scripts = set(re.findall(r"scripts/[a-z_]+\.(?:sh|py)", text))
    assert {"scripts/quickstart.sh", "scripts/test.sh"} <= scripts
    assert not [script for script in scripts if not (ROOT / script).exists()]


def test_changelog_and_package_agree_on_the_version() -> None:
    package = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    changelog = re.search(r"^## \[?(\d[^\]\s]*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert package
    assert changelog
    assert package[1] == changelog[1]


def test_the_fine_tune_of_the_readme_has_the_parameters_that_work() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (query,) = re.findall(r"/fine_tune_model/northwind\?baseModel=demo&(\S+)\"", text)
    parameters = json.loads((ROOT / "examples" / "questions.json").read_text())[
        "fine_tune_parameters"
    ]
    assert {
        name: json.loads(value) if value != "Q8_0" else value for name, value in parse_qsl(query)
    } == parameters


def test_every_endpoint_stands_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in (
        "/createModel/",
        "/deleteModel/",
        "/list_models",
        "/show_model/",
        "/models/",
        "/complete",
        "/embed",
        "/importDocument",
        "/list_documents",
        "/documents/",
        "/delete_document",
        "/deleteAll_Documents",
        "/generate",
        "/search",
        "/datasets",
        "/fine_tune_model/",
        "/jobs",
        "/evaluations",
        "/readyz",
    ):
        assert path in text, path
