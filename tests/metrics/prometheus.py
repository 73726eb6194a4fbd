"""A real Prometheus, Debian's, that reads a service as `docs/watching.md` says."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from tests.listening import reserved

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "watching.md"
DASHBOARD = ROOT / "docs" / "grafana" / "llm-fastapi.json"
UNPACKED = Path(sys.executable).parent / "prometheus"
PROMETHEUS = str(UNPACKED) if UNPACKED.exists() else shutil.which("prometheus")
START_SECONDS = 60


class Prometheus:
    """What answers queries."""

    def __init__(self, url: str) -> None:
        self._client = httpx2.Client(base_url=url, timeout=60)

    def is_ready(self) -> bool:
        """Whether it answers."""
        with contextlib.suppress(httpx2.TransportError):
            return self._client.get("/-/ready").status_code == 200
        return False

    def answers(self, query: str) -> list[float]:
        """The values that a query has now."""
        answer = self._client.get("/api/v1/query", params={"query": query})
        assert answer.status_code == 200, (query, answer.text)
        return [float(one["value"][1]) for one in answer.json()["data"]["result"]]


@contextlib.contextmanager
def reading(port: int, folder: Path) -> Iterator[Prometheus]:
    """One that reads the service at that port of loopback twice a second."""
    assert PROMETHEUS
    (block,) = re.findall(r"```yaml\n(scrape_configs:.+?)```", PAGE.read_text(), re.DOTALL)
    for said, instead in {"15s": "500ms", "127.0.0.1:3000": f"127.0.0.1:{port}"}.items():
        assert said in block
        block = block.replace(said, instead)
    (folder / "prometheus.yml").write_text(block)
    command = [
        PROMETHEUS,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        "--log.level=warn",
    ]
    with (
        reserved() as free,
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{free}"], stderr=log
        ) as process,
    ):
        try:
            prometheus = Prometheus(f"http://127.0.0.1:{free}")
            deadline = time.monotonic() + START_SECONDS
            while not prometheus.is_ready():
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.05)
            yield prometheus
        finally:
            process.terminate()


def alerts_of_the_page() -> list[str]:
    """What the page says is worth an alert."""
    _, _, rest = PAGE.read_text().partition("\n## Alerts\n")
    return re.findall(r"^\| `(.+?)` \|", rest.partition("\n## ")[0], re.MULTILINE)


def queries_of_the_dashboard() -> dict[str, list[str]]:
    """The queries of each panel, by its title, for every model and the last ten seconds."""
    board: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return {
        panel["title"]: [
            target["expr"]
            .replace("$__rate_interval", "10s")
            .replace("$model", ".*")
            .replace("$job", ".*")
            for target in panel["targets"]
        ]
        for panel in board["panels"]
    }
