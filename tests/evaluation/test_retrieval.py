"""Measurements of retrieval over HTTP: figures, misses, history, two side by side, and what is refused."""

import json
import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from api.datasets.receiving import Upload
from api.evaluation.retrieval_figures import FoundPage, Outcome, compared, metrics
from api.evaluation.retrieval_proposals import question_in
from api.evaluation.retrieval_questions import FIELD, read_questions
from api.runtime import Message
from tests.documents.pdfs import handbook
from tests.service import Service, open_service

SUBJECTS = ("boiler", "garden", "parking", "canteen", "library", "bicycle", "password", "holiday")
ROWS = [f"Where is the {subject}?,house.pdf,{page}" for page, subject in enumerate(SUBJECTS, 1)]
FILL = "which is reached by the stairs at the end of the corridor, or by the lift beside the door to the yard"
CSV = "\n".join(["question,document,page", *ROWS])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A collection with a page a subject."""
    with open_service(tmp_path_factory.mktemp("retrieval")) as service:
        sections = [
            (f"The {one}", f"The {one} is on floor {n}, {FILL}.") for n, one in enumerate(SUBJECTS)
        ]
        service.client.post("/collections", data={"name": "house"})
        made = service.client.post(
            "/importDocument?collection=house",
            files={"file": ("house.pdf", handbook(sections, per_page=1))},
        )
        assert made.status_code == 201, made.text
        yield service


def measured(service: Service, questions: str | bytes = CSV, **parameters: str) -> Any:
    return service.client.post(
        "/evaluations/retrieval",
        params={"collection": "house", **parameters},
        files={FIELD: ("questions", questions)},
    )


def test_pages_that_are_found_are_counted_with_intervals(house: Service) -> None:
    answer = measured(house)
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert answer.headers["Location"] == f"/evaluations/retrieval/{found['measurement_id']}"
    assert found["metrics"]["hit@1"]["mean"] == found["metrics"]["ndcg@10"]["mean"] == 1.0
    assert 0 < found["metrics"]["hit@1"]["low"] < 1.0
    assert (found["questions"], found["misses"], found["missed"]) == (len(SUBJECTS), 0, [])
    assert found["documents"] == 1
    assert found["settings"]["chunk_tokens"] == 60
    assert len(found["settings"]["embedders"]) == 1
    assert found["collections"][0]["name"] == "house"
    assert house.client.get(answer.headers["Location"]).json() == found


def test_a_miss_says_what_was_found_instead(house: Service) -> None:
    lines = [
        json.dumps({"question": "boiler", "document": "house", "pages": [1, 2]}),
        json.dumps({"question": "garden", "document": "house.pdf", "page": 99}),
        json.dumps({"question": "Who wins?", "document": "another.pdf", "page": 1}),
    ]
    found = measured(house, "\n".join(lines)).json()
    assert found["unknown_documents"] == ["another.pdf"]
    assert [one["question"] for one in found["missed"]] == ["garden", "Who wins?"]
    missed = found["missed"][0]
    assert missed["expected"] == [{"document": "house.pdf", "page": 99}]
    assert (missed["found"][0]["document"], missed["found"][0]["page"]) == ("house.pdf", 2)
    assert "garden" in missed["found"][0]["text"]
    assert found["metrics"]["hit@1"] == {"mean": 0.3333, "low": None, "high": None}


def test_the_history_of_a_collection_and_two_side_by_side(house: Service) -> None:
    worse = CSV.replace("house.pdf,8", "house.pdf,7")
    first = measured(house).json()["measurement_id"]
    second = measured(house).json()["measurement_id"]
    third = measured(house, worse).json()["measurement_id"]
    listed = house.client.get("/evaluations/retrieval?collection=house&limit=3").json()
    assert [one["measurement_id"] for one in listed["measurements"]] == [third, second, first]
    assert house.client.get("/evaluations/retrieval?collection=other").json()["measurements"] == []
    later = house.client.get(f"/evaluations/retrieval?after={second}&limit=1").json()
    assert later["measurements"][0]["measurement_id"] == first
    beside = house.client.get(f"/evaluations/retrieval/{second}?against={first}").json()
    change = beside["comparison"]
    assert change["says"].startswith("No difference shown: ndcg@10 1.000 before, 1.000 after")
    assert change["questions"] == len(SUBJECTS)
    beside = house.client.get(f"/evaluations/retrieval/{third}?against={first}").json()
    assert beside["comparison"]["questions"] == len(SUBJECTS) - 1  # one expects another page
    gone = house.client.delete(f"/evaluations/retrieval/{third}")
    assert gone.json()["measurement_id"] == third
    assert house.client.get(f"/evaluations/retrieval/{third}").status_code == 404
    assert house.client.get(f"/evaluations/retrieval/{first}?against={third}").status_code == 404


@pytest.mark.parametrize(
    ("questions", "status", "says"),
    [
        ("", 422, "empty"),
        ("question,document,page\n", 422, "There is no question"),
        ("question,answer\na,b", 422, "No column document and page"),
        ("question,document,page\na,house.pdf,iv", 422, "Row 1, page: no numbers of pages"),
        ("question,document,page\na,house.pdf,0", 422, "Row 1, page"),
        ("question,document,page\na,house.pdf,9-3", 422, "Row 1, page"),
        ("question,document,page\na,house.pdf,1-99999", 422, "Row 1, page"),
        ("question,document,page\n,house.pdf,1", 422, "Row 1, question"),
        ('{"question": 3, "document": "house.pdf", "page": 1}', 422, "Row 1, question"),
        ('{"question": "a", "document": "house.pdf", "page": true}', 422, "Row 1, page"),
        ('{"question": "a", "document": "house.pdf", "page": {}}', 422, "Row 1, page"),
        ("question,document,page\na,elsewhere.pdf,1", 422, "None of the documents"),
        (b"%PDF-1.7 nothing", 415, "a PDF"),
        (b"PAR1", 415, "not parquet"),
    ],
)
def test_what_is_no_question_is_said(
    house: Service, questions: str | bytes, status: int, says: str
) -> None:
    answer = measured(house, questions)
    assert (answer.status_code, says in answer.json()["detail"]) == (status, True), answer.text


def test_too_many_questions_and_nowhere_to_look_are_refused(house: Service) -> None:
    many = "\n".join(["question,document,page", *(f"q{n},house.pdf,1" for n in range(2001))])
    assert "at most 2000" in measured(house, many).json()["detail"]
    assert measured(house, collection="").status_code == 422
    assert measured(house, collection="nowhere").status_code == 404
    assert measured(house, collection="", modelName="nobody").status_code == 404


@pytest.mark.parametrize(
    ("rows", "pages"),
    [
        ("question,document,page\na,b,3", [3]),
        ("Question;Document;Pages\na;b;3-5", [3, 4, 5]),
        ('question,document,pages\na,b,"3; 7, 9 - 10"', [3, 7, 9, 10]),
        ("question,document,page\na,b,2.0\na,b,4", [2, 4]),
        ('{"question": "a", "document": "b", "pages": [1, "2", 4.0]}', [1, 2, 4]),
        ('[{"question": "a", "document": "b", "page": 7}]', [7]),
    ],
)
def test_pages_are_numbers_and_ranges_in_any_table(
    tmp_path: Path, rows: str, pages: list[int]
) -> None:
    (asked,) = read_questions(Upload(BytesIO(rows.encode())), tmp_path, 10)
    assert [one.page for one in asked.expected] == pages


def outcome(question: str, ranks: tuple[int, ...], expected: int = 1) -> Outcome:
    pages = tuple({"document": "a", "page": page} for page in range(expected))
    found = tuple(FoundPage("a", page, 0.0, "") for page in range(10))
    return Outcome(question, pages, ranks, found, 0.0)


def test_each_metric_is_what_its_name_says() -> None:
    assert outcome("", (2,)).scores() == {
        "hit@1": 0.0,
        "hit@5": 1.0,
        "mrr@10": 0.5,
        "ndcg@10": pytest.approx(0.6309, abs=1e-4),
    }
    assert outcome("", (1, 2), expected=2).scores()["ndcg@10"] == pytest.approx(1.0)
    assert outcome("", (1,), expected=12).scores()["ndcg@10"] < 0.3
    assert set(outcome("", ()).scores().values()) == {0.0}
    assert outcome("", (6,)).is_miss


def test_a_change_for_the_better_is_shown_and_one_by_chance_is_not() -> None:
    before = [outcome(str(n), ()) for n in range(40)]
    after = [outcome(str(n), (1,) if n < 20 else ()) for n in range(40)]
    change = compared("me_x", before, after)
    assert change.metrics["ndcg@10"].verdict == "better"
    assert change.says.startswith("Better: ndcg@10 0.000 before, 0.500 after, on 40 questions")
    assert len(change.gained) == 20
    assert compared("me_x", after, before).lost == change.gained
    one = compared("me_x", before, [outcome("0", (1,)), *before[1:]])
    assert one.metrics["ndcg@10"].verdict == "no difference shown"
    assert compared("me_x", before, []).questions == 0
    assert metrics(before)["hit@5"].mean == 0.0


def test_an_interval_is_as_wide_as_so_many_questions_make_it() -> None:
    hit = metrics([outcome(str(n), (1,) if n % 4 else ()) for n in range(100)])["hit@1"]
    assert hit.mean == 0.75
    assert hit.low is not None
    assert hit.high is not None
    assert 0.64 < hit.low < 0.69
    assert 0.80 < hit.high < 0.86


def test_a_model_proposes_questions_and_they_are_marked_as_its_own(house: Service) -> None:
    def asks(messages: Sequence[Message]) -> str:
        about = re.search(r"The (\w+) is on floor", messages[-1].content)
        if about is None or about[1] == "garden":
            return "I cannot think of one."
        return f"Sure, here it is:\n1. Where is the {about[1]}?\n2. Why?"

    house.runtime.rule = asks
    proposed = house.client.post(
        "/evaluations/retrieval/proposals",
        params={"modelName": "demo", "collection": "house", "count": 3},
    )
    assert proposed.status_code == 200, proposed.text
    questions = proposed.json()["questions"]
    assert proposed.json()["why_fewer"] == ""
    assert len({one["question"] for one in questions}) == 3
    assert all(one["proposed_by"] == "demo" and one["passage"] for one in questions)
    found = measured(house, "\n".join(json.dumps(one) for one in questions)).json()
    assert (found["proposed"], found["misses"]) == (3, 0)
    all_of_them = house.client.post(
        "/evaluations/retrieval/proposals?modelName=demo&collection=house&count=50"
    ).json()
    assert len(all_of_them["questions"]) == len(SUBJECTS) - 1  # about the garden it had none
    assert "Answers without a question of 8 to 300 characters: 1, such" in all_of_them["why_fewer"]
    assert "'I cannot think of one.'" in all_of_them["why_fewer"]
    nothing = house.client.post("/evaluations/retrieval/proposals?modelName=demo")
    assert (nothing.status_code, "There is no document" in nothing.text) == (404, True)


def test_a_list_that_is_short_or_empty_says_why(house: Service) -> None:
    def proposed(collection: str) -> Any:
        values = {"modelName": "demo", "collection": collection, "count": "3"}
        return house.client.post("/evaluations/retrieval/proposals", params=values).json()

    house.runtime.rule = lambda _: "The boiler."
    assert proposed("house")["questions"] == []
    assert proposed("house")["why_fewer"].startswith("Passages of 120 characters")
    assert "characters: 6, such as 'The boiler.'" in proposed("house")["why_fewer"]
    house.runtime.rule = lambda _: "Where is the boiler?"
    assert proposed("house")["why_fewer"].endswith(
        "asked about: 6. Questions that repeat another one: 5."
    )
    house.client.post("/collections", data={"name": "short"})
    note = {"file": ("note.txt", b"The boiler is broken.")}
    house.client.post("/importDocument?collection=short", files=note)
    assert proposed("short")["why_fewer"].startswith("No passage has 120 characters or more")


@pytest.mark.parametrize(
    ("answer", "question"),
    [
        ("What is it?\nAnd why?", "What is it?"),
        ('- "Was kostet das Parken?"', "Was kostet das Parken?"),
        ("Question 1: How high is it?", "How high is it?"),
        ("停车证多少钱一个月呢\uff1f", "停车证多少钱一个月呢\uff1f"),
        ("No.\nWhy?", ""),
        ("x" * 400 + "?", ""),
    ],
)
def test_what_is_a_question_in_an_answer(answer: str, question: str) -> None:
    assert question_in(answer) == question
