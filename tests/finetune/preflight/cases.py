"""Bases, machines and runs to predict for."""

from finetune.job.hardware import GIB, Hardware
from finetune.job.spec import FineTuneSpec
from finetune.preflight.base import Base
from finetune.preflight.formula import Amount

SEVEN_B = Base(
    parameters=7_242_000_000,
    linear=6_979_000_000,
    active=6_979_000_000,
    lora_per_rank=2_600_000,
    layers=32,
    hidden=4096,
    wide=14336,
    heads=32,
    vocabulary=32_000,
    bytes=14_483_000_000,
)
AMOUNT = Amount(rows=1000, eval_rows=50, tokens=400_000, longest=900)
CPU = Hardware(
    device="cpu",
    processor="tester",
    cores=8,
    threads=8,
    avx512=True,
    ram=64 * GIB,
    ram_free=60 * GIB,
    disk_free=500 * GIB,
)
GPU = Hardware(
    device="gpu",
    processor="tester",
    cores=16,
    threads=16,
    avx512=True,
    ram=64 * GIB,
    ram_free=60 * GIB,
    disk_free=500 * GIB,
    gpu="Tester H100 80GB",
    vram=80 * GIB,
)


def spec(**parameters: object) -> FineTuneSpec:
    """A run with these parameters."""
    names = {"model_name": "tuned", "base_model": "seven", "base_model_folder": "../base"}
    return FineTuneSpec.model_validate(names | parameters)
