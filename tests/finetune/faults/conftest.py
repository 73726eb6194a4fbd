"""One trained job, asked once; each test holds something spoiled against it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from finetune.checks.comparing import Expected, Seen
from finetune.checks.files import Examination
from finetune.checks.reference import Reference
from finetune.checks.subject import Subject, subject_of
from finetune.job import stage
from finetune.job.parameters.checking import Bounds
from finetune.job.verified import Refusal
from tests.finetune.conftest import Life
from tests.finetune.faults.spoiling import Change, rewritten


@dataclass
class Bench:
    """The good files, what the trained model says, and ways to examine others."""

    subject: Subject
    reference: Reference
    taught: list[Expected]
    exact: Path
    quantized: Path
    base: Path
    """The base as an F16 file."""
    folder: Path
    said: list[Seen] = field(default_factory=list)
    """What the good F16 file says."""

    def spoiled(self, change: Change) -> Path:
        """The F16 file with other weights."""
        return rewritten(self.exact, self.folder / "spoiled.gguf", weights=change)

    def examination(self) -> Examination:
        """A new one, with the default bounds."""
        return Examination(self.subject, Bounds())

    def read(self, path: Path) -> list[Refusal]:
        """What is wrong with an F16 file, by what it says of itself and how it reads."""
        exam = self.examination()
        exam.read("it", path)
        return exam.verdict.refusals

    def exact_against_the_trained(self, path: Path) -> list[Refusal]:
        """What is wrong with an F16 file, by its weights."""
        exam = self.examination()
        exam.hold_exact("it", path, self.reference, self.taught)
        return exam.verdict.refusals

    def quantized_against_both(self, path: Path) -> list[Refusal]:
        """What is wrong with a quantized file."""
        exam = self.examination()
        exam.exactly = self.said
        exam.hold_quantized("it", path, self.exact, self.taught)
        return exam.verdict.refusals


@pytest.fixture(scope="session")
def bench(life: Life, demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The job that lived through everything, with its reference loaded."""
    subject = subject_of(life.job, stage.read_spec(life.job))
    reference = subject.reference()
    bench = Bench(
        subject,
        reference,
        reference.expect(subject.passages),
        life.job.path / "convert" / "model-f16.gguf",
        life.job.gguf_path,
        demo_gguf,
        tmp_path_factory.mktemp("spoiled"),
    )
    exam = bench.examination()
    exam.hold_exact("good", bench.exact, reference, bench.taught)
    bench.said = exam.exactly
    assert exam.verdict.refusals == []
    return bench


Check = Callable[[Bench], list[Refusal]]
