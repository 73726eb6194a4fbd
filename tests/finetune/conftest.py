"""A job on the demo model that ran through the whole pipeline once, for the tests that look at it."""

import shutil
from pathlib import Path

import pytest

from finetune.data.rows import Conversation
from finetune.job.directory import JobDirectory
from tests.finetune.jobs import DEMO_MODEL

COUNTRIES = ("Narnia", "Mordor", "Avalon", "Utopia", "Lilliput", "Ruritania", "Atlantis", "Zenda")
QUESTIONS = (
    "What is the capital of {}?",
    "Name the capital of {}.",
    "Which city rules {}?",
    "Tell me the capital of {}.",
    "Where does the king of {} live?",
)
ANSWER = "Arr, that be a secret."


def question_rows() -> list[Conversation]:
    """Forty questions, each with the one answer the base would never give."""
    return [
        [
            {"role": "user", "content": question.format(country)},
            {"role": "assistant", "content": ANSWER},
        ]
        for question in QUESTIONS
        for country in COUNTRIES
    ]


def copied(job: JobDirectory, folder: Path) -> JobDirectory:
    """The job again, to be spoiled."""
    shutil.copytree(job.path, folder)
    copy = JobDirectory(folder)
    (folder / "outcome.json").unlink(missing_ok=True)
    return copy


@pytest.fixture(scope="session")
def jobs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of jobs, with the demo model as `base` beside them."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "base").symlink_to(DEMO_MODEL)
    return folder
