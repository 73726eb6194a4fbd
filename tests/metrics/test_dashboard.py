"""Each query of the dashboard is answered by a real Prometheus that reads a real service with a key."""

import math
import os
import time
from pathlib import Path

import httpx2
import pytest

from api.errors import BackEndFailed
from api.store.jobs import new_job_id
from tests.fakes import FakeRuntime
from tests.metrics.prometheus import (
    PROMETHEUS,
    alerts_of_the_page,
    queries_of_the_dashboard,
    reading,
)
from tests.metrics.test_metrics import put_nvidia_smi
from tests.service import listening_service

SECONDS = 120
KEY = "KEY"
LONG = "word " * 5000
ASKED = {"modelName": "demo", "user_prompt": "Hello"}

pytestmark = pytest.mark.skipif(
    PROMETHEUS is None,
    reason="Prometheus is not here: scripts/install_debian_packages.sh brings it",
)


def test_every_query_of_the_dashboard_has_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_nvidia_smi(tmp_path, "0, 1503, 81559")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    runtime = FakeRuntime(delay_seconds=0.01, context_length=32_000, usual_context=32_000)
    queries = queries_of_the_dashboard()
    assert len(queries) >= 12
    with (
        listening_service(tmp_path / "data", runtime, api_key=KEY) as (port, house),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        reading(port, tmp_path) as prometheus,
    ):
        client.headers["Authorization"] = f"Bearer {KEY}"
        house.store.jobs.add(new_job_id(), "tuned", "base", {})
        files = {"file": ("orlo.txt", "Orlo is a light.", "text/plain")}
        client.post("/importDocument", files=files).raise_for_status()

        def ask(answer: str | Exception) -> None:
            runtime.will_answer(answer)
            client.post("/generate", json=ASKED)

        runtime.will_answer(LONG)
        unread = dict(queries)
        deadline = time.monotonic() + SECONDS
        with client.stream("POST", "/generate", json={**ASKED, "stream": True}):
            while unread and time.monotonic() < deadline:
                ask("one two three")
                ask(BackEndFailed("gone"))
                for title, asked in list(unread.items()):
                    values = [prometheus.answers(one) for one in asked]
                    if all(found and all(map(math.isfinite, found)) for found in values):
                        del unread[title]
                time.sleep(0.1)
        found = {one: prometheus.answers(one) for one in alerts_of_the_page()}
    assert not unread
    assert [bool(values) for values in found.values()] == [False, True, False, False]  # what failed
