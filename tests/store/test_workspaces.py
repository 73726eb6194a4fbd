"""What one workspace keeps, another one finds neither by its name nor by its id."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.errors import (
    CollectionNotFound,
    DocumentNotFound,
    InvalidName,
    JobNotFound,
    NameTaken,
)
from api.names import in_workspace, runtime_name, valid_model_name, valid_workspace
from api.store import Store
from api.store.jobs import new_job_id
from tests.databases import open_migrated

SHA = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """As it is opened: every workspace."""
    store = open_migrated(tmp_path / "state.sqlite3")
    yield store
    store.close()


@pytest.fixture
def two(store: Store) -> tuple[Store, Store]:
    """The first workspace and another one."""
    return store.of("default"), store.of("team")


def test_a_collection_is_found_in_its_workspace_alone(
    store: Store, two: tuple[Store, Store]
) -> None:
    first, team = two
    mine, theirs = first.collections.create("rules"), team.collections.create("rules")
    assert [one.id for one in first.collections.page(10)] == [mine.id]
    assert team.collections.find("rules") == theirs
    for name in (theirs.id, "made up"):
        with pytest.raises(CollectionNotFound) as error:
            first.collections.find(name)
        assert error.value.extra["collections"] == ["rules"]
    with pytest.raises(NameTaken, match=theirs.id):
        team.collections.create("RULES")
    assert store.collections.find(theirs.id) == theirs
    assert store.collections.find("rules") == mine


def test_equal_bytes_are_a_content_of_each_workspace(two: tuple[Store, Store]) -> None:
    first, team = two
    added = [
        one.documents.add("a.pdf", one.collections.of_model("ada"), SHA, 10, "embedder")
        for one in (first, team)
    ]
    assert all(one.has_new_content for one in added)
    again = team.documents.add("b.pdf", team.collections.create("b"), SHA, 10, "embedder")
    assert again.document.content_id == added[1].document.content_id
    with pytest.raises(DocumentNotFound):
        first.documents.get(again.document.id)
    assert {one.name for one in first.documents.all()} == {"a.pdf"}
    scope = first.collections.scope_of("ada")
    assert {one.workspace for one in first.collections.present(scope.ids)} == {"default"}


def test_a_job_is_found_in_its_workspace_alone(store: Store, two: tuple[Store, Store]) -> None:
    first, team = two
    mine, theirs = (one.jobs.add(new_job_id(), "ada", "demo", {}) for one in two)
    assert [one.id for one in first.jobs.all()] == [mine.id]
    assert team.jobs.page((), None, 10)[0] == [theirs]
    with pytest.raises(JobNotFound):
        first.jobs.get(theirs.id)
    with pytest.raises(JobNotFound):
        first.jobs.page((), theirs.id, 10)
    with pytest.raises(JobNotFound):
        first.jobs.set_priority(theirs.id, 5)
    assert {one.workspace for one in store.jobs.all()} == {"default", "team"}


def test_records_speak_the_names_of_their_workspace_and_rows_those_of_the_runtime(
    store: Store, two: tuple[Store, Store]
) -> None:
    first, team = two
    first.models.put("ada", "persona", "demo")
    team.models.put("ada", "persona", "demo")
    made = team.models.put("Eve:v2", "persona", "ada")
    assert (made.base, made.root) == ("ada", "demo")
    assert team.models.get("eve:v2") == made
    assert set(team.models.all()) == {"ada", "eve:v2"}
    assert set(first.models.all()) == {"ada"}
    every = store.models.all()
    assert set(every) == {"ada", "ws-team/ada", "ws-team/eve:v2"}
    below = every["ws-team/eve:v2"]
    assert (below.name, below.base, below.root) == ("ws-team/Eve:v2", "ws-team/ada", "demo")
    team.models.remove("ada")
    assert first.models.get("ada")
    store.models.put_back(below)
    assert team.models.get("eve:v2") == made


@pytest.mark.parametrize("name", ["team", "a", "team-7", "0"])
def test_the_runtimes_name_of_a_model_tells_its_workspace(name: str) -> None:
    assert valid_workspace(name) == name
    assert in_workspace(runtime_name(name, "ada")) == (name, "ada")
    assert runtime_name("default", "ada") == "ada"
    with pytest.raises(InvalidName):
        valid_model_name(runtime_name(name, "ada"))


@pytest.mark.parametrize("name", ["", "Team", "a--b", "-a", "a-", "a/b", "a b", "x" * 41])
def test_a_workspace_has_a_name_that_a_runtime_can_take(name: str) -> None:
    with pytest.raises(InvalidName):
        valid_workspace(name)
