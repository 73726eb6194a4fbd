"""Which device trains here."""

import sys
from pathlib import Path

import pytest

from finetune.job.device import find_gpu
from finetune.job.preloaded import may_fork


def test_a_machine_without_the_driver_of_a_gpu_trains_on_its_cpu_and_torch_is_not_asked(
    tmp_path: Path,
) -> None:
    (tmp_path / "nvidiactl").touch()
    assert find_gpu(tmp_path) is None


def test_with_the_driver_of_a_gpu_torch_says_whether_it_can_use_it(tmp_path: Path) -> None:
    import torch

    (tmp_path / "nvidia0").touch()
    assert (find_gpu(tmp_path) is not None) == torch.cuda.is_available()


@pytest.mark.parametrize(
    ("there", "may"), [("nvidiactl", True), ("nvidia0", False), ("kfd", False), ("dxg", False)]
)
def test_stages_are_forked_where_no_gpu_can_be_trained_on(
    tmp_path: Path, there: str, may: bool
) -> None:
    (tmp_path / there).touch()
    assert may_fork(tmp_path) == (may and sys.platform == "linux")
