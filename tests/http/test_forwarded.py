"""Behind a proxy: who called, and under which path; of trusted proxies alone."""

import logging
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response
from starlette.testclient import TestClient

from api.http.forwarded import Forwarded
from api.http.observe import Observe
from api.http.refusals import defect_response
from api.settings import Settings

ACCEPTED = Response(status_code=202, headers={"Location": "/jobs/job_1"})
TRUSTED = "10.0.0.0/8"


def client(folder: Path, peer: str = "10.0.0.7", **values: Any) -> TestClient:
    """A client whose connection comes from `peer`."""
    settings = Settings(data_dir=folder, **{"trusted_proxies": [TRUSTED], **values})
    app = Observe(Forwarded(ACCEPTED, settings), defect_response)
    return TestClient(app, client=(peer, 5000))


def location(client: TestClient, *prefixes: str) -> str:
    sent = [("X-Forwarded-Prefix", prefix) for prefix in prefixes]
    return client.get("/", headers=sent).headers["location"]


def test_a_location_is_as_it_was_without_a_prefix(tmp_path: Path) -> None:
    assert location(client(tmp_path)) == "/jobs/job_1"


@pytest.mark.parametrize(
    ("prefixes", "expected"),
    [
        (["/llm"], "/llm/jobs/job_1"),
        (["/llm/"], "/llm/jobs/job_1"),
        (["/outer", "/inner"], "/outer/inner/jobs/job_1"),
        (["/outer, /inner"], "/outer/inner/jobs/job_1"),
        (["/"], "/jobs/job_1"),
    ],
)
def test_a_location_lies_under_the_path_that_a_trusted_proxy_names(
    tmp_path: Path, prefixes: list[str], expected: str
) -> None:
    assert location(client(tmp_path), *prefixes) == expected


@pytest.mark.parametrize("prefix", ["//evil.test", "https://evil.test", "/a b", "/a?b", "llm"])
def test_a_prefix_that_is_no_path_is_ignored(tmp_path: Path, prefix: str) -> None:
    assert location(client(tmp_path), prefix) == "/jobs/job_1"


def test_a_stranger_names_no_prefix(tmp_path: Path) -> None:
    assert location(client(tmp_path, "192.0.2.1"), "/llm") == "/jobs/job_1"


def test_the_setting_decides_before_any_header(tmp_path: Path) -> None:
    assert location(client(tmp_path, root_path="/llm"), "/other") == "/llm/jobs/job_1"


@pytest.mark.parametrize(
    ("peer", "forwarded", "logged"),
    [
        ("10.0.0.7", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.7", "198.51.100.1, 203.0.113.9, 10.0.0.8", "203.0.113.9"),
        ("10.0.0.7", "", "10.0.0.7"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
    ],
)
def test_the_log_has_the_caller_that_a_trusted_proxy_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, peer: str, forwarded: str, logged: str
) -> None:
    caplog.set_level(logging.INFO, "api")
    client(tmp_path, peer).get("/", headers={"X-Forwarded-For": forwarded})
    (record,) = (record for record in caplog.records if hasattr(record, "request"))
    assert record.request["client"] == logged


def test_by_default_this_machine_alone_is_trusted(tmp_path: Path) -> None:
    default = Settings().trusted_proxies
    assert location(client(tmp_path, "127.0.0.1", trusted_proxies=default), "/llm").startswith(
        "/llm"
    )
    assert location(client(tmp_path, "10.0.0.7", trusted_proxies=default), "/llm") == "/jobs/job_1"
