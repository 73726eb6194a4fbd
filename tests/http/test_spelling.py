"""The customer's spellings of a path lead to the same route; names keep theirs."""

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.http.spelling import Spelling


@pytest.fixture
def client() -> TestClient:
    app = FastAPI(redirect_slashes=False)

    @app.get("/deleteAll_Documents")
    def delete_all() -> str:
        return "all"

    @app.get("/createModel/{name}")
    def create(name: str) -> str:
        return name

    app.add_middleware(Spelling, paths=["/deleteAll_Documents", "/createModel/{name}"])
    return TestClient(app)


@pytest.mark.parametrize(
    "path",
    [
        "/deleteAll_Documents",
        "/deleteAll_Documents/",
        "/deletealldocuments",
        "/delete_all_documents",
    ],
)
def test_case_underscores_and_a_trailing_slash_do_not_matter(client: TestClient, path: str) -> None:
    assert client.get(path).json() == "all"


@pytest.mark.parametrize("name", ["My_Model", "a.b-C_d"])
def test_a_name_in_the_path_stays_as_it_is(client: TestClient, name: str) -> None:
    assert client.get(f"/createmodel/{name}").json() == name
    assert client.get(f"/Create_Model/{name}/").json() == name


def test_an_encoded_slash_does_not_lead_to_another_name(client: TestClient) -> None:
    assert client.get("/createModel/a%2Fb").json() == "a%2Fb"
    assert client.get("/createModel/a%2F").json() == "a%2F"


def test_unknown_paths_stay_unknown(client: TestClient) -> None:
    assert client.get("/nothing").status_code == 404
