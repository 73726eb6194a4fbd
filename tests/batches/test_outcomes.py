"""The files that rows come to: whole lines alone, each row once."""

import contextlib
import json
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.batches.outcomes import ERRORS, OUTPUT, Outcomes, counted
from api.batches.values import Answer, Row

ANSWER = Answer(200, "req_1", b'{"object":"list"}')


def test_answers_and_refusals_stand_apart(tmp_path: Path) -> None:
    with contextlib.closing(Outcomes(tmp_path)) as outcomes:
        outcomes.add(Row("a", b"{}"), ANSWER)
        outcomes.add(Row('"\n', b"{}"), Answer(400, "req_2", b'{"error":{}}'))
        outcomes.give_up(Row("c", b"{}"), "batch_expired", "Too late.")
    (said,) = map(json.loads, (tmp_path / OUTPUT).read_text().splitlines())
    assert said.pop("id").startswith("batch_req_")
    assert said == {
        "custom_id": "a",
        "response": {"status_code": 200, "request_id": "req_1", "body": {"object": "list"}},
        "error": None,
    }
    refused, late = map(json.loads, (tmp_path / ERRORS).read_text().splitlines())
    assert (refused["custom_id"], refused["response"]["status_code"]) == ('"\n', 400)
    assert (late["response"], late["error"]["code"]) == (None, "batch_expired")
    assert (outcomes.completed, outcomes.failed) == counted(tmp_path) == (1, 2)


@pytest.mark.parametrize(
    "torn", [b'{"id": "x", "custom_id": "b", "resp', b'{"id": "x", "custom_id": "b"}', b"\0" * 40]
)
def test_what_a_crash_tore_off_is_cut_away(tmp_path: Path, torn: bytes) -> None:
    with contextlib.closing(Outcomes(tmp_path)) as outcomes:
        outcomes.add(Row("a", b"{}"), ANSWER)
    with (tmp_path / OUTPUT).open("ab") as file:
        file.write(torn)
    assert counted(tmp_path) == (1, 0)
    with contextlib.closing(Outcomes(tmp_path)) as outcomes:
        assert (outcomes.done, outcomes.completed) == ({"a"}, 1)
        outcomes.add(Row("b", b"{}"), ANSWER)
    lines = (tmp_path / OUTPUT).read_text().splitlines()
    assert [json.loads(line)["custom_id"] for line in lines] == ["a", "b"]


def test_a_line_that_does_not_fit_on_the_disk_is_not_begun(tmp_path: Path) -> None:
    with contextlib.closing(Outcomes(tmp_path)) as outcomes:
        outcomes.add(Row("a", b"{}"), ANSWER)
        size = (tmp_path / OUTPUT).stat().st_size
        with largest_file(size + 20), pytest.raises(OSError, match="20 were written"):
            outcomes.add(Row("b", b"{}"), ANSWER)
        assert (tmp_path / OUTPUT).stat().st_size == size
        assert (outcomes.done, outcomes.completed) == ({"a"}, 1)
        outcomes.add(Row("b", b"{}"), ANSWER)
    assert counted(tmp_path) == (2, 0)


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As if the disk were full behind so many bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
