"""Each request that a real server was asked is answered by the double as it was by that server."""

import json
from pathlib import Path

import pytest

from tests.ollama_double import gguf_file, rows, rows_of_answers, rows_of_models
from tests.ollama_double.asking import Server
from tests.ollama_double.conftest import CUT_BYTES
from tests.ollama_double.rows import Row

pytestmark = pytest.mark.real
ROWS = [
    *rows.GENERAL,
    *rows.BLOBS,
    *rows_of_models.CREATE,
    *rows_of_models.MODELS,
    *rows_of_answers.BEFORE_LOADING,
    *rows_of_answers.LOADED,
]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_request_is_answered_as_a_real_server_answers_it(server: Server, row: Row) -> None:
    def known(text: str) -> str:
        for name, digest in server.uploads.items():
            text = text.replace(f"@{name}", digest)
        text = text.replace("BLOBS", str(server.folder / "blobs"))
        return text.replace('"CUT"', json.dumps(_cut_fault(server.good)))

    sent = row.request if isinstance(row.request, bytes) else b""
    if isinstance(row.request, dict):
        sent = known(json.dumps(row.request)).encode()
    answer = server.http.request(row.method, known(row.path), content=sent, headers=row.headers)
    assert answer.status_code == row.status, answer.text
    kind = answer.headers.get("content-type", "")
    if isinstance(row.body, dict):
        assert answer.json() == json.loads(known(json.dumps(row.body)))
        assert kind == "application/json"
    elif row.lines is not None:
        lines = [json.loads(line) for line in answer.iter_lines()]
        assert lines == json.loads(known(json.dumps(row.lines)))
        assert kind == "application/x-ndjson"
    else:
        assert answer.text == row.body
        assert kind.startswith("text/plain") or not row.body


def _cut_fault(good: Path) -> str:
    """What is said of the file without its last bytes: which tensor does not fit."""
    gguf, size = gguf_file.read(good), good.stat().st_size - CUT_BYTES
    ends = {tensor.name: gguf.data_start + tensor.offset + tensor.size for tensor in gguf.tensors}
    name, end = next((name, end) for name, end in ends.items() if end > size)
    return f'tensor "{name}" offset+size ({end}) exceeds file size ({size})'
