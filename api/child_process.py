"""The environment of the training and converting processes that are started here."""

import os

_PASSED_ON = frozenset({"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH"})
_PASSED_ON_PREFIXES = (
    *("LC_", "PYTHON", "VIRTUAL_ENV", "XDG_"),
    *("CUDA", "NVIDIA", "NCCL", "TORCH", "PYTORCH", "TRITON", "BNB_"),
    *("OMP_", "MKL_", "OPENBLAS_"),
)


def child_environment() -> dict[str, str]:
    """What it needs of our environment: no key of ours or of anybody else."""
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }
    return {**passed_on, "HF_HUB_OFFLINE": "1"}
