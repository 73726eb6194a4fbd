"""Who may call, before anything is parsed."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from api.auth.callers import ANYONE, FIRST_ADMIN, SCOPES, Caller
from api.errors import CannotStart
from api.http.gate import Gate, require_safe_listening
from api.http.request import get_caller
from api.settings import Settings
from tests.service import ADDRESS, open_service


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    """What the gate protects."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


def client(tmp_path: Path, **values: object) -> TestClient:
    settings = Settings(data_dir=tmp_path, **values)  # type: ignore[arg-type]
    return TestClient(Gate(inner, settings), base_url="http://127.0.0.1:3000")


def test_loopback_needs_no_key(tmp_path: Path) -> None:
    assert client(tmp_path).get("/list_models").text == "inside"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1"])
def test_a_foreign_host_is_refused(tmp_path: Path, host: str) -> None:
    response = client(tmp_path).get("/list_models", headers={"Host": host})
    assert response.status_code == 421
    assert response.headers["content-type"] == "application/problem+json"


def test_a_wrong_key_is_told_from_none(tmp_path: Path) -> None:
    guarded = client(tmp_path, api_key="secret")
    none, wrong = (
        guarded.get("/list_models", headers=headers).json()["title"]
        for headers in ({}, {"Authorization": "Bearer guessed"})
    )
    assert (none, wrong) == ("Key needed", "Wrong key")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:4000"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_a_page_of_another_origin_changes_nothing(
    tmp_path: Path, method: str, headers: dict[str, str]
) -> None:
    assert client(tmp_path).request(method, "/x", headers=headers).status_code == 403


def test_the_own_page_may_write(tmp_path: Path) -> None:
    headers = {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-origin"}
    assert client(tmp_path).post("/x", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}, {"Api-Key": "secret"}],
)
def test_with_a_key_every_call_needs_it(tmp_path: Path, headers: dict[str, str]) -> None:
    guarded = client(tmp_path, host="0.0.0.0", api_key="secret")  # noqa: S104
    response = guarded.get("/list_models", headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert "secret" not in response.text


@pytest.mark.parametrize("key", [None, "secret"])
def test_a_route_learns_who_calls(tmp_path: Path, key: str | None) -> None:
    seen: list[Caller] = []

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(get_caller(Request(scope)))
        await inner(scope, receive, send)

    guarded = TestClient(Gate(route, Settings(data_dir=tmp_path, api_key=key)), ADDRESS)
    guarded.get("/x", headers={"Authorization": f"Bearer {key}"})
    assert seen == [FIRST_ADMIN if key else ANYONE]
    assert all(seen[0].may(scope) for scope in SCOPES)


def test_the_key_opens_and_healthz_needs_none(tmp_path: Path) -> None:
    guarded = client(tmp_path, host="0.0.0.0", api_key="secret")  # noqa: S104
    assert guarded.get("/x", headers={"Authorization": "Bearer secret"}).status_code == 200
    assert guarded.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "path", ["/docs", "/docs/", "/openapi.json", "/swagger/swagger-ui-bundle.js", "/healthz"]
)
def test_what_a_browser_needs_before_it_has_a_key_is_open(tmp_path: Path, path: str) -> None:
    guarded = client(tmp_path, host="0.0.0.0", api_key="secret")  # noqa: S104
    assert guarded.get(path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/docs/x", "/swagger", "/openapi.json/x", "/readyz", "/jobs"]
)
def test_what_is_beside_the_page_is_not_open(tmp_path: Path, path: str) -> None:
    guarded = client(tmp_path, host="0.0.0.0", api_key="secret")  # noqa: S104
    assert guarded.get(path).status_code == 401


def test_a_load_balancer_may_ask_by_address_whether_the_service_lives(tmp_path: Path) -> None:
    behind = client(tmp_path, allowed_hosts=["llm.example.test"], api_key="secret")
    assert behind.get("/healthz", headers={"Host": "10.0.0.5:3000"}).status_code == 200
    assert behind.get("/readyz", headers={"Host": "10.0.0.5:3000"}).status_code == 421


def test_another_container_of_the_suite_may_call_and_nobody_else_by_that_name(
    tmp_path: Path,
) -> None:
    inside = {"host": "0.0.0.0", "allow_open": True, "bind": "127.0.0.1"}  # noqa: S104
    host = {"Host": "fastapi:3000"}
    assert client(tmp_path, **inside).get("/v1/models", headers=host).status_code != 421
    assert client(tmp_path).get("/v1/models", headers=host).status_code == 421


def test_who_is_refused_by_name_learns_which_setting_decides(tmp_path: Path) -> None:
    refused = client(tmp_path).get("/list_models", headers={"Host": "llm.example.test"})
    assert "LLM_FASTAPI_ALLOWED_HOSTS" in refused.json()["detail"]
    refused = client(tmp_path).post("/x", headers={"Origin": "https://llm.example.test"})
    assert "LLM_FASTAPI_ALLOWED_HOSTS" in refused.json()["detail"]
    assert "LLM_FASTAPI_ALLOWED_ORIGINS" in refused.json()["detail"]


def test_a_page_under_a_listed_host_is_the_services_own_behind_a_proxy(tmp_path: Path) -> None:
    """A proxy may pass the address it calls as Host, and leaves the browser's Origin."""
    behind = client(tmp_path, allowed_hosts=["llm.example.test"])
    own = {"Host": "127.0.0.1:3000", "Sec-Fetch-Site": "same-origin"}
    for origin in ("https://llm.example.test", "https://LLM.example.test:8443"):
        assert behind.post("/x", headers={**own, "Origin": origin}).status_code == 200
    for origin in ("https://evil.test", "https://llm.example.test.evil.test", "null", "https://["):
        assert behind.post("/x", headers={**own, "Origin": origin}).status_code == 403


def test_a_listed_host_is_answered_whatever_its_case(tmp_path: Path) -> None:
    behind = client(tmp_path, allowed_hosts=["LLM.example.test"])
    assert behind.get("/x", headers={"Host": "llm.EXAMPLE.test:443"}).status_code == 200


PAGE = "https://app.example.test"
PREFLIGHT = {
    "Origin": PAGE,
    "Sec-Fetch-Site": "cross-site",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


def test_no_other_page_may_call_by_default(tmp_path: Path) -> None:
    with open_service(tmp_path) as service:
        asked = service.client.options("/generate", headers=PREFLIGHT)
        called = service.client.get("/list_models", headers={"Origin": PAGE})
    assert (asked.status_code, called.status_code) == (403, 403)
    assert "access-control-allow-origin" not in {*asked.headers, *called.headers}


def test_a_listed_page_may_call_and_read_the_answer_and_the_refusal(tmp_path: Path) -> None:
    with open_service(tmp_path, api_key="secret", allowed_origins=[PAGE]) as service:
        asked = service.client.options("/generate", headers=PREFLIGHT)
        sent = {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"}
        with_key = {**sent, "Authorization": "Bearer secret"}
        called = service.client.post(
            "/generate", json={"modelName": "demo", "user_prompt": "hi"}, headers=with_key
        )
        refused = service.client.post("/generate", headers=sent)
        stranger = service.client.options(
            "/generate", headers={**PREFLIGHT, "Origin": "https://evil.test"}
        )
    assert asked.status_code == 200
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert asked.headers["access-control-allow-headers"] == "authorization,content-type"
    assert (called.status_code, refused.status_code, stranger.status_code) == (200, 401, 403)
    for answer in (asked, called, refused):
        assert answer.headers["access-control-allow-origin"] == PAGE
    assert "X-Request-ID" in called.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in stranger.headers
    assert stranger.headers["content-type"] == "application/problem+json"


def test_beyond_loopback_a_key_or_an_explicit_word_is_needed(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="LLM_FASTAPI_API_KEY"):
        require_safe_listening(Settings(data_dir=tmp_path, host="0.0.0.0"))  # noqa: S104
    require_safe_listening(Settings(data_dir=tmp_path, host="0.0.0.0", allow_open=True))  # noqa: S104
    require_safe_listening(Settings(data_dir=tmp_path))


def test_a_container_is_as_open_as_the_address_its_port_is_published_on(tmp_path: Path) -> None:
    local = Settings(data_dir=tmp_path, host="0.0.0.0", allow_open=True, bind="127.0.0.1")  # noqa: S104
    require_safe_listening(local)
    assert local.is_loopback
    outward = local.model_copy(update={"bind": "192.168.1.5"})
    with pytest.raises(CannotStart, match=r"192\.168\.1\.5"):
        require_safe_listening(outward)
    require_safe_listening(outward.model_copy(update={"api_key": SecretStr("k")}))
    with pytest.raises(CannotStart):
        require_safe_listening(local.model_copy(update={"allow_open": False}))
