"""What was found wrong with an export: a refusal, which leaves the job trained and unpublished."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from finetune.job.stage import StageFailed
from finetune.job.verified import Refusal


class Refused(StageFailed):
    """An exported file is not what was trained: what differs, and where."""


@dataclass(slots=True)
class Verdict:
    """All that was found; the first is the reason."""

    refusals: list[Refusal] = field(default_factory=list)

    @contextlib.contextmanager
    def of(self, file: str) -> Iterator[None]:
        """Keep what refuses this file in here; what comes after it in here is left out, what comes later is not."""
        try:
            yield
        except StageFailed as refused:
            self.refusals.append(Refusal(file, refused.title, refused.detail))

    def written(self) -> list[dict[str, str]]:
        """For `report.json`."""
        return [asdict(refusal) for refusal in self.refusals]
